//! Who signs now: tokens are renewed while a command runs.

use std::fmt;
use std::time::Duration;

use sluice::stream::signing::Signer;
use sluice::time::Wall;

/// How soon a renewal that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// Gets another token, and says when it ends.
type Renew = Box<dyn Fn() -> Result<(Signer, Wall), String>>;

/// Signs, by a key or by a token that is renewed.
pub struct Signing {
    signer: Signer,
    renewal: Option<Renewal>,
}

struct Renewal {
    due: Wall,
    renew: Renew,
}

impl fmt::Debug for Signing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Signing({:?})", self.signer)
    }
}

impl From<Signer> for Signing {
    fn from(signer: Signer) -> Self {
        Self {
            signer,
            renewal: None,
        }
    }
}

impl Signing {
    /// Signs by a token that is had by `renew`, now and when half of its time is over.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn renewed(renew: Renew, now: Wall) -> Result<Self, String> {
        let (signer, ends) = renew()?;
        let due = half(now, ends);
        Ok(Self {
            signer,
            renewal: Some(Renewal { due, renew }),
        })
    }

    /// Returns what signs now, after a renewal if one is due. A failed one is told; the token
    /// serves to its end.
    pub fn current(&mut self, now: Wall) -> &mut Signer {
        if let Some(renewal) = self.renewal.as_mut().filter(|renewal| renewal.due <= now) {
            match (renewal.renew)() {
                Ok((signer, ends)) => {
                    self.signer = signer;
                    renewal.due = half(now, ends);
                }
                Err(why) => {
                    eprintln!("sluice: the token is not renewed: {why}");
                    renewal.due = now.plus(RETRY);
                }
            }
        }
        &mut self.signer
    }

    /// Returns what has signed last.
    pub fn last(&mut self) -> &mut Signer {
        &mut self.signer
    }
}

/// Returns when half of the time up to this end is over, and not at once: an end that is near makes
/// no command ask at each request.
fn half(now: Wall, ends: Wall) -> Wall {
    now.plus((ends.since(now) / 2).max(Duration::from_secs(1)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use sluice::id::Entropy;
    use sluice::stream::signing::{KEY_BITS_MIN, KeyId, PrivateKey};

    use super::*;

    const KEY: &str = include_str!("../../../tests/keys/rsa-2048-pkcs8.pem");

    #[test]
    fn a_token_is_renewed_when_half_of_its_time_is_over_and_serves_to_its_end() {
        let asked = Rc::new(Cell::new(0_u64));
        let count = Rc::clone(&asked);
        let renew = move || {
            count.set(count.get() + 1);
            if count.get() == 2 {
                return Err("nobody is there".to_owned());
            }
            let key = PrivateKey::from_pem(KEY, KEY_BITS_MIN).unwrap();
            let key_id = KeyId::parse(&format!("ST$a.{}", count.get())).unwrap();
            let rsa = key.signs_itself(Entropy::from_seed([1; 32]));
            Ok((Signer::new(key_id, rsa), Wall(count.get() * 600_000)))
        };
        let mut signing = Signing::renewed(Box::new(renew), Wall(0)).unwrap();
        let mut by = |at| signing.current(Wall(at)).key_id().as_str().to_owned();
        assert_eq!(by(299_999), "ST$a.1");
        assert_eq!(by(300_000), "ST$a.1", "the renewal has failed");
        assert_eq!(by(359_999), "ST$a.1");
        assert_eq!(by(360_000), "ST$a.3");
        assert_eq!(by(1_000_000), "ST$a.3");
        assert_eq!(asked.get(), 3);
    }
}
