//! sluice: the binary. See `sluice --help`.

use std::io::{BufWriter, ErrorKind, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use sluice_cli::arguments::Arguments;
use sluice_cli::failure::Failure;

fn main() -> ExitCode {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let done = sluice_cli::run(Arguments::parse(), jiff::Timestamp::now(), &mut out);
    let failure = match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(failure) => failure,
    };
    // A reader that has closed the pipe, as `head` does, needs no error.
    let quiet = matches!(&failure, Failure::Output(error) if error.kind() == ErrorKind::BrokenPipe);
    if !quiet {
        // The output comes before the error.
        let _ = out.flush();
        let _ = writeln!(std::io::stderr(), "sluice: {failure}");
    }
    ExitCode::from(failure.code())
}
