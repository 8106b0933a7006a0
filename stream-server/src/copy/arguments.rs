//! The command line of `stream-server copy`.

use std::time::Duration;

use clap::Args;
use sluice_cli::identity::{Auth, Credentials};
use sluice_cli::stream::is_stream_id;

use super::limits::{PARALLEL_DEFAULT, PARALLEL_MAX, SETTLE_DEFAULT};
use super::side::Side;
use crate::service::id_of_named;

pub(crate) const AFTER_HELP: &str = "\
The destination is a stream server with streams that are new, or that an earlier copy has filled; \
nobody else may publish there yet. The source may be any service of OCI Streaming's protocol. Each \
message keeps its partition, its key and its place in the order; offsets and times are new. Groups \
go on at the same messages.

It may be killed at any time. Run it again: it compares what the destination has with the source, \
goes on behind that, and copies nothing twice. A finished copy is only verified. Nothing is ever \
deleted, at neither side.

Examples:
  stream-server copy --from http://127.0.0.1:8090 --to http://127.0.0.1:8091 \\
    --stream calls --stream calls-dead --dry-run
  stream-server copy --from https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com \\
    --from-profile DEFAULT --to http://127.0.0.1:8090 --stream ocid1.stream.oc1...=calls

Exit codes: 0 everything that the source had is at the destination and is verified, 1 failed, \
stopped or incomplete, 2 wrong usage.";

/// Copies streams with their groups from one Stream to another.
#[derive(Debug, Args)]
pub struct CopyArguments {
    /// The Stream to copy from: a URL
    #[arg(long, value_name = "URL", help_heading = "Source")]
    from: String,
    #[command(flatten)]
    from_credentials: FromCredentials,
    /// The stream server to copy to: a URL
    #[arg(long, value_name = "URL", help_heading = "Destination")]
    to: String,
    #[command(flatten)]
    to_credentials: ToCredentials,
    /// Stream to copy, with the destination's stream if that has another id; may be repeated. NAME
    /// means ocid1.stream.oc1.local.NAME. The destination's must be there already, with as many
    /// partitions
    #[arg(long = "stream", value_name = "ID[=ID]", required = true, value_parser = pair,
          help_heading = "What")]
    pub(super) streams: Vec<Pair>,
    /// Consumer group that goes with the streams that have it; may be repeated. The protocol can't
    /// list them
    #[arg(
        long = "group",
        value_name = "NAME",
        default_value = "sluice",
        help_heading = "What"
    )]
    groups: Vec<String>,
    /// Leave all groups where they are
    #[arg(long, conflicts_with = "groups", help_heading = "What")]
    no_groups: bool,
    /// Leave out messages that OCI Streaming couldn't have (no value, more than 1 MiB, a key of
    /// more than 256 bytes) and offsets without a message that can be read, as other clients of
    /// Kafka may leave them, instead of refusing to go on
    #[arg(long, help_heading = "What")]
    pub(super) leave_out_unfit: bool,
    /// Copy messages whose key leads to another partition at the destination, instead of refusing
    /// to go on. They stay in the source's partition, so a later call of their key may overtake
    /// them
    #[arg(long, help_heading = "What")]
    pub(super) foreign_keys: bool,
    /// Copy calls with an order key that wait on lanes, or have waited there, instead of refusing
    /// to go on. Later calls with their keys may overtake them
    #[arg(long, help_heading = "What")]
    pub(super) lose_order: bool,
    /// Copy calls without an id whose offset changes, instead of refusing to go on. Their ids are
    /// made of their places and change too, and their targets may take them for other calls
    #[arg(long, help_heading = "What")]
    pub(super) new_ids: bool,
    /// Let a group begin with the oldest message of a partition of which the source tells no
    /// commit, instead of refusing to go on. Only stream servers of ours tell where a group stands
    /// that was moved, or was created at the latest message
    #[arg(long, help_heading = "What")]
    pub(super) from_oldest: bool,
    /// Go on with what is published meanwhile, until SIGINT or SIGTERM; then copy the rest, move
    /// the groups and end
    #[arg(long, conflicts_with = "dry_run", help_heading = "How")]
    pub(super) follow: bool,
    /// Compare and count, and change nothing
    #[arg(long, help_heading = "How")]
    pub(super) dry_run: bool,
    /// Partitions at a time
    #[arg(long, value_name = "NUMBER", default_value_t = PARALLEL_DEFAULT, help_heading = "How",
          value_parser = clap::value_parser!(u16).range(1..=i64::from(PARALLEL_MAX)))]
    pub(super) parallel: u16,
    /// How long a request that was interrupted may still be under way at the destination. The copy
    /// waits so long before it goes on with what an earlier one has begun [default: 35s, more than
    /// a stream server on Kafka tries]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "How")]
    settle: Option<Duration>,
    /// For programs: one JSON object
    #[arg(long, help_heading = "How")]
    pub(super) json: bool,
}

/// A stream and its copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) to: String,
}

/// The options about signing of one side: those of `sluice`, under names of their own.
macro_rules! credentials {
    ($name:ident, $side:literal, $heading:literal) => {
        #[derive(Clone, Debug, Default, Args)]
        #[group(id = $heading)]
        struct $name {
            /// Who signs, in the words of Oracle's CLI [default: for https endpoints, what sluice
            /// takes]
            #[arg(id = concat!($side, "-auth"), long = concat!($side, "-auth"),
                                          value_name = "WHO", value_enum, help_heading = $heading)]
            auth: Option<Auth>,
            /// Service that gives tokens to principals and sessions
            #[arg(id = concat!($side, "-auth-endpoint"), long = concat!($side, "-auth-endpoint"),
                                          value_name = "URL",
                                          help_heading = $heading)]
            auth_endpoint: Option<String>,
            /// Sign as this profile of Oracle's configuration file
            #[arg(id = concat!($side, "-profile"), long = concat!($side, "-profile"),
                                          value_name = "NAME",
                                          help_heading = $heading)]
            profile: Option<String>,
            /// Oracle's configuration file
            #[arg(id = concat!($side, "-config-file"), long = concat!($side, "-config-file"),
                                          value_name = "FILE",
                                          help_heading = $heading)]
            config_file: Option<String>,
            /// Sign as TENANCY/USER/FINGERPRINT
            #[arg(id = concat!($side, "-key-id"), long = concat!($side, "-key-id"),
                                          value_name = "ID",
                                          help_heading = $heading)]
            key_id: Option<String>,
            /// Private key of that id: RSA, PEM, without passphrase
            #[arg(id = concat!($side, "-key-file"), long = concat!($side, "-key-file"),
                                          value_name = "FILE",
                                          help_heading = $heading)]
            key_file: Option<String>,
            /// Certificates of the authorities to trust, in PEM, instead of the public ones
            #[arg(id = concat!($side, "-ca-file"), long = concat!($side, "-ca-file"),
                                          value_name = "FILE",
                                          help_heading = $heading)]
            ca_file: Option<String>,
        }

        impl $name {
            fn side(&self, endpoint: &str) -> Side {
                let credentials = Credentials {
                    auth: self.auth,
                    auth_endpoint: self.auth_endpoint.clone(),
                    profile: self.profile.clone(),
                    config_file: self.config_file.clone(),
                    key_id: self.key_id.clone(),
                    key_file: self.key_file.clone(),
                };
                Side::new($side, endpoint, self.ca_file.clone(), credentials)
            }
        }
    };
}

credentials!(FromCredentials, "from", "Source");
credentials!(ToCredentials, "to", "Destination");

impl CopyArguments {
    /// Returns the source and the destination.
    pub(super) fn sides(&self) -> (Side, Side) {
        let from = self.from_credentials.side(&self.from);
        (from, self.to_credentials.side(&self.to))
    }

    /// Returns the groups that go with the streams.
    pub(super) fn groups(&self) -> &[String] {
        match self.no_groups {
            true => &[],
            false => &self.groups,
        }
    }

    pub(super) fn settle(&self) -> Duration {
        self.settle.unwrap_or(SETTLE_DEFAULT)
    }
}

fn pair(text: &str) -> Result<Pair, String> {
    let (from, to) = text.split_once('=').unwrap_or((text, text));
    let id = |text: &str| {
        let id = match text.starts_with("ocid1.") {
            true => text.to_owned(),
            false => id_of_named(text),
        };
        let problem = || format!("{text:?} is neither the id nor the name of a stream");
        (!text.is_empty() && is_stream_id(&id))
            .then_some(id)
            .ok_or_else(problem)
    };
    Ok(Pair {
        from: id(from)?,
        to: id(to)?,
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = sluice::time_text::parse_duration(text);
    parsed.map_err(|_| "write a duration such as 500ms, 35s or 2m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_named_by_id_or_name() {
        let local = |name: &str| format!("ocid1.stream.oc1.local.{name}");
        let copy = pair("calls").unwrap();
        assert_eq!((copy.from, copy.to), (local("calls"), local("calls")));
        let copy = pair("ocid1.stream.oc1.fra.x=calls").unwrap();
        assert_eq!(copy.from, "ocid1.stream.oc1.fra.x");
        assert_eq!(copy.to, local("calls"));
        for bad in ["a/b", "=", "a=b=c"] {
            assert!(pair(bad).is_err(), "{bad}");
        }
    }
}
