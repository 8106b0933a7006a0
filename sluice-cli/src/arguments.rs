//! The command line.

use clap::{Args, Parser, Subcommand};
use jiff::Timestamp;

use crate::check::{self, Check};
use crate::dead::filter::Filter;
use crate::destination::Configured;
use crate::failure::Failure;
use crate::identity::Credentials;
use crate::lag::{self, Lag};
use crate::leave::{self, Leave};
use crate::list::ListOptions;
use crate::moment;
use crate::redrive::{Pace, RedriveOptions};
use crate::render::{self, Render};
use crate::stream::stream_id;

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed (the endpoint can't be reached, or not everything could be done), \
2 wrong usage, 3 no letter matched.

The endpoint speaks OCI Streaming's REST protocol. Requests are signed for https endpoints and \
wherever an option for signing is given; Oracle's limits of requests are kept then.

Oracle's service:
  sluice dead list --profile DEFAULT --dead-stream ocid1.stream.oc1...";

const REDRIVE_HELP: &str = "\
The call goes back as it was, with its attempts counted anew and without a delivery time. Once the \
Stream has acknowledged it, a mark on the dead stream says that the letter is redriven; from then \
on list leaves it out, and so does redrive.

It goes to the stream of --stream, or to the default one. A letter that names another stream never \
decides: on a terminal you are asked, elsewhere its call stays dead until you say --stream.

At least once: if this program ends between the two, or an answer of the Stream is lost, the next \
run puts up to 100 calls back a second time. Calls keep their ids, so that targets can tell.

Examples:
  sluice dead redrive 01997c9d-6f3e-7cc3-98c4-dc0c0c07398f
  sluice dead redrive --target /orders --since 2h --dry-run
  sluice dead redrive --all --rate 200

Exit codes: 0 done, 1 failed (the endpoint can't be reached, or not everything could be done), \
2 wrong usage, 3 no letter matched.";

/// Looks at calls that Sluice has given up and puts them back; tells what waits; writes what hosts
/// need; sees whether the filter is there; prepares a gateway for its end.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, after_help = AFTER_HELP)]
pub struct Arguments {
    /// Options of all commands.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of all commands.
#[derive(Debug, Args)]
pub struct Common {
    /// Stream endpoint [default: Oracle's service in the region of --profile, else
    /// http://127.0.0.1:8090]
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        help_heading = "Stream",
        env = "SLUICE_ENDPOINT",
        value_name = "URL"
    )]
    pub endpoint: Option<String>,
    /// Stream of dead letters
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        help_heading = "Stream",
        env = "SLUICE_DEAD_STREAM",
        value_name = "OCID",
        default_value = "ocid1.stream.oc1.local.calls-dead",
        value_parser = stream_id
    )]
    pub dead_stream: String,
    /// Stream to which all redriven calls go, wherever they stood [default:
    /// ocid1.stream.oc1.local.calls, for calls that stood there or on its lanes]
    #[arg(
        long,
        global = true,
        hide_env_values = true,
        help_heading = "Stream",
        env = "SLUICE_STREAM",
        value_name = "OCID",
        value_parser = stream_id
    )]
    pub stream: Option<String>,
    /// Certificates of the authorities to trust, in PEM, instead of the public ones
    #[arg(long, global = true, help_heading = "Stream", value_name = "FILE")]
    pub ca_file: Option<String>,
    /// Who signs.
    #[command(flatten)]
    pub credentials: Credentials,
}

/// The stream that calls go to by default.
pub(crate) const STREAM_DEFAULT: &str = "ocid1.stream.oc1.local.calls";

/// Returns the stream that calls go to; `stream` is the value of `--stream`.
pub(crate) fn configured(stream: Option<String>) -> Configured {
    let default = || Configured::Default(STREAM_DEFAULT.to_owned());
    stream.map_or_else(default, Configured::Named)
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Dead letters: calls that were given up
    #[command(subcommand)]
    Dead(DeadCommand),
    /// What isn't done yet: records that the gateways' group hasn't committed
    #[command(after_help = lag::AFTER_HELP)]
    Lag(Lag),
    /// Writes what a host needs, Envoy or a control plane, from one small input
    #[command(after_help = render::AFTER_HELP)]
    Render(Render),
    /// Sees whether the filter really stands before what a gateway leads to
    #[command(after_help = check::AFTER_HELP)]
    Check(Check),
    /// Prepares a gateway for its end, so that its replacement repeats no call
    #[command(after_help = leave::AFTER_HELP)]
    Leave(Leave),
}

/// The commands for dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadCommand {
    /// Lists dead letters, oldest first
    #[command(after_help = AFTER_HELP)]
    List {
        /// Which.
        #[command(flatten)]
        filters: Filters,
        /// Also those that are redriven
        #[arg(long)]
        all: bool,
        /// For programs: one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Shows one call's letter with its attempts, headers and body
    #[command(after_help = AFTER_HELP)]
    Show {
        /// The call id
        #[arg(value_name = "ID")]
        id: String,
        /// For programs: one JSON object with the whole letter
        #[arg(long)]
        json: bool,
    },
    /// Puts calls back on their stream
    #[command(after_help = REDRIVE_HELP)]
    Redrive(Redrive),
}

/// `redrive`.
#[derive(Debug, Args)]
pub struct Redrive {
    /// Call ids
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    #[command(flatten)]
    filters: Filters,
    /// Every letter that isn't redriven yet
    #[arg(long)]
    all: bool,
    /// Only say what would be put back
    #[arg(long)]
    dry_run: bool,
    /// Also letters that were redriven before
    #[arg(long)]
    again: bool,
    /// Calls put back in a second, such as 50 or 50/s; 0 is without bound
    #[arg(long, value_name = "N/s", default_value = "50", value_parser = rate)]
    rate: u32,
    /// For programs: one JSON object
    #[arg(long)]
    json: bool,
}

/// Which letters are meant; all conditions must hold.
#[derive(Debug, Args)]
pub struct Filters {
    /// Call id; may be repeated
    #[arg(long, value_name = "ID", help_heading = "Filters")]
    id: Vec<String>,
    /// Why it died, such as rejected, attempts_exhausted or unreadable_record; may be repeated
    #[arg(long, value_name = "REASON", help_heading = "Filters")]
    reason: Vec<String>,
    /// The call's route
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    route: Option<String>,
    /// What the call's explicit target URL begins with; for other calls their URL, or authority
    /// and path, or, with a leading /, path
    #[arg(long, value_name = "PREFIX", help_heading = "Filters")]
    target: Option<String>,
    /// Dead at this time or later: RFC 3339, or a duration back such as 90s, 30m, 2h or 7d
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    since: Option<String>,
    /// Dead before this time; as --since
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    until: Option<String>,
}

impl Filters {
    fn filter(self, ids: Vec<String>, now: Timestamp) -> Result<Filter, Failure> {
        let time = |name: &str, text: Option<String>| {
            let moment = text.map(|text| moment::given(&text, now)).transpose();
            moment.map_err(|problem| Failure::Usage(format!("{name}: {problem}")))
        };
        Ok(Filter {
            ids: ids.into_iter().chain(self.id).collect(),
            reasons: self.reason,
            route: self.route,
            target: self.target,
            since: time("--since", self.since)?,
            until: time("--until", self.until)?,
        })
    }

    pub(crate) fn list(
        self,
        all: bool,
        json: bool,
        stream: Configured,
        now: Timestamp,
    ) -> Result<ListOptions, Failure> {
        let filter = self.filter(Vec::new(), now)?;
        Ok(ListOptions {
            filter,
            all,
            json,
            stream,
        })
    }
}

impl Redrive {
    /// Returns the options of a command, with times relative to `now`.
    pub(crate) fn options(
        self,
        stream: Configured,
        now: Timestamp,
    ) -> Result<RedriveOptions, Failure> {
        let filter = self.filters.filter(self.ids, now)?;
        if filter.is_empty() && !self.all {
            return Err(Failure::Usage(
                "say which letters: ids, filters such as --since 2h, or --all".to_owned(),
            ));
        }
        if !filter.is_empty() && self.all {
            return Err(Failure::Usage(
                "--all is every letter: leave it out, or leave out ids and filters".to_owned(),
            ));
        }
        Ok(RedriveOptions {
            filter,
            dry_run: self.dry_run,
            again: self.again,
            pace: Pace::new(self.rate),
            json: self.json,
            stream,
        })
    }
}

fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    number
        .parse()
        .map_err(|_| "write a whole number such as 50, or 0 for no bound".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn rates_are_whole_numbers() {
        assert_eq!(
            (rate("50"), rate("50/s"), rate("0")),
            (Ok(50), Ok(50), Ok(0))
        );
        for bad in ["", "-1", "1.5", "50/m", "fast"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
