//! The two ends of a copy.

use sluice_cli::connect;
use sluice_cli::identity::Credentials;
use sluice_cli::stream::{StreamClient, StreamError};

use super::error::CopyError;

/// One end: where it is and who signs there.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// `from` or `to`.
    flag: &'static str,
    endpoint: String,
    ca_file: Option<String>,
    credentials: Credentials,
}

impl Side {
    pub(super) fn new(
        flag: &'static str,
        endpoint: &str,
        ca_file: Option<String>,
        credentials: Credentials,
    ) -> Self {
        Self {
            flag,
            endpoint: endpoint.to_owned(),
            ca_file,
            credentials,
        }
    }

    /// Returns a client of this end; nothing is sent yet. Each thread needs one of its own.
    pub(super) fn client(&self) -> Result<StreamClient, CopyError> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (endpoint, ca_file) = (self.endpoint.as_str(), self.ca_file.as_deref());
        let client = connect::client_of(Some(endpoint), ca_file, &self.credentials, &variable);
        client.map_err(|problem| CopyError::Usage(self.in_our_words(&problem)))
    }

    /// Returns what a request of this end has failed by.
    pub(super) fn error(&self, error: &StreamError) -> CopyError {
        CopyError::Stream(self.in_our_words(&error.to_string()))
    }

    /// The client names the options of `sluice`; this command has them for each end.
    fn in_our_words(&self, said: &str) -> String {
        let flag = self.flag;
        let said = said
            .replace(
                "--dead-stream, --stream and --endpoint",
                "--stream and --endpoint",
            )
            .replace("--endpoint or SLUICE_ENDPOINT", "--endpoint")
            .replace("--endpoint", &format!("--{flag}"));
        let options = ["auth-endpoint", "auth", "profile", "config-file"];
        let options = options.iter().chain(&["key-id", "key-file", "ca-file"]);
        let said = options.fold(said, |said, option| {
            let (theirs, ours) = (format!("--{option}"), format!("--{flag}-{option}"));
            said.replace(&theirs, &ours)
        });
        format!("--{flag} {}: {said}", self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_options_of_this_command() {
        let side = Side::new("to", "http://h", None, Credentials::default());
        let said =
            side.in_our_words("give --profile, or --key-id; see --endpoint or SLUICE_ENDPOINT");
        let expected = "--to http://h: give --to-profile, or --to-key-id; see --to";
        assert_eq!(said, expected);
        assert!(
            side.in_our_words("--auth-endpoint")
                .ends_with(" --to-auth-endpoint")
        );
    }
}
