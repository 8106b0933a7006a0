//! RSA by Envoy's own arithmetic, which takes a fraction of the time that it takes as wasm.
//!
//! Envoy's foreign function `sign` takes and gives a small protobuf message
//! (`source/extensions/common/wasm/ext/sign.proto`):
//!
//! ```text
//! SignArguments { string hash_function = 1; bytes private_key = 2; bytes text = 3; }
//! SignResult    { bool result = 1; bytes signature = 2; string error = 3; }
//! ```
//!
//! Other hosts and older Envoys don't have it, or deny it by capability.

use proxy_wasm::hostcalls;

use super::sink::log;
use crate::engine::Level;
use crate::id::Entropy;
use crate::stream::signing::envoy::{read_result, write_arguments};
use crate::stream::signing::{PrivateKey, RsaSha256};

/// A text that is signed in both ways at the start, to see whether Envoy's signatures are the same.
const PROBE: &[u8] = b"sluice";

/// Returns the faster of two ways with the same result.
pub(super) fn rsa(key: PrivateKey, entropy: &mut Entropy) -> Result<Box<dyn RsaSha256>, String> {
    let der = key.to_der().map_err(|error| error.to_string())?;
    let mut own = key.signs_itself(entropy.fork());
    let expected = own.sign(PROBE)?;
    match sign(&der, PROBE) {
        Ok(signature) if signature == expected => Ok(Box::new(Envoys { der, own })),
        Ok(_) => {
            log(
                Level::Warn,
                "Envoy's function sign gives other signatures; it isn't used",
            );
            Ok(own)
        }
        Err(why) => {
            let line = format!("Envoy's function sign can't be used, so signing is slow: {why}");
            log(Level::Info, &line);
            Ok(own)
        }
    }
}

/// Signs with Envoy's arithmetic, and with the module's own if that ever fails.
struct Envoys {
    der: Vec<u8>,
    own: Box<dyn RsaSha256>,
}

impl RsaSha256 for Envoys {
    fn sign(&mut self, text: &[u8]) -> Result<Vec<u8>, String> {
        sign(&self.der, text).or_else(|_| self.own.sign(text))
    }

    fn name(&self) -> &'static str {
        "Envoy's function sign"
    }
}

fn sign(der: &[u8], text: &[u8]) -> Result<Vec<u8>, String> {
    let arguments = write_arguments(der, text);
    let result = hostcalls::call_foreign_function("sign", Some(&arguments));
    let result = result.map_err(|status| format!("{status:?}"))?;
    read_result(&result.unwrap_or_default())
}
