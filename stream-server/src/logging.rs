//! The program's log: one line for each event on standard error, for people or for programs.

use std::io;

use serde::Deserialize;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Time, level, message, then `name=value`.
    #[default]
    Text,
    /// A JSON object with `timestamp` (RFC 3339), `level`, `message`, and a member for each field.
    Json,
}

/// The least important events that are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Events that end the program, or keep it from working.
    Error,
    /// Events that a person should look at.
    Warn,
    /// Normal events.
    #[default]
    Info,
    /// Each request.
    Debug,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// Writes the log of this process to standard error from here on. A second call changes nothing.
pub fn start(format: LogFormat, level: LogLevel) {
    // An error means that there is a log already.
    let _ = tracing::subscriber::set_global_default(subscriber(format, level, io::stderr));
}

fn subscriber<W>(format: LogFormat, level: LogLevel, to: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_writer(to)
        // Otherwise it would write internal errors to standard error, and panic if nobody reads
        // that.
        .log_internal_errors(false)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(LevelFilter::from(level));
    match format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => Box::new(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false)
                .finish(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Returns the log of a warning and a request.
    fn written(format: LogFormat, level: LogLevel) -> String {
        let written = Written::default();
        let to = written.clone();
        let subscriber = subscriber(format, level, move || to.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(stream = "calls", "it\nis \"late\"");
            tracing::debug!(status = 200_u16, "request");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let log = written(LogFormat::Json, LogLevel::Debug);
        let lines: Vec<serde_json::Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2, "{log}");
        assert_eq!(lines[0]["level"], "WARN");
        assert_eq!(lines[0]["message"], "it\nis \"late\"");
        assert_eq!(lines[0]["stream"], "calls");
        assert_eq!(lines[1]["status"], 200);
        let time = lines[1]["timestamp"].as_str().unwrap();
        assert!(crate::time::TimeMs::parse_rfc3339(time).is_some(), "{time}");
    }

    #[test]
    fn text_has_the_same_for_people_down_to_the_level() {
        let log = written(LogFormat::Text, LogLevel::Warn);
        assert!(
            log.contains(" WARN ") && log.contains("stream=\"calls\""),
            "{log}"
        );
        assert!(!log.contains("request"), "{log}");
    }
}
