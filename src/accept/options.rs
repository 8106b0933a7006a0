//! Step 1b: what a caller asks for in option headers (the table in `docs/options.md`).
//!
//! An option that can't be kept is refused, never ignored. A wrong value gets `400` with the forms
//! that are accepted. An option that this gateway doesn't have gets `501`.

use std::time::Duration;

use crate::accept::config::OptionsConfig;
use crate::accept::refusal::Refusal;
use crate::call_option::CallOption;
use crate::http::{Fields, all, first};
use crate::limits::{
    CORRELATION_ID_BYTES_MAX, IDEMPOTENCY_KEY_BYTES_MAX, ORDER_KEY_BYTES_MAX,
    REFUSED_VALUE_CHARACTERS_MAX,
};
use crate::record::reply_address::ReplyAddress;
use crate::time::{Wall, millis};
use crate::time_text::{NoDuration, parse_duration, parse_time};

/// What a caller asks for. `None` means that the caller didn't say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// An absolute `http` or `https` URL of visible ASCII. Nothing else has been checked.
    pub target: Option<String>,
    /// Who gets the response.
    pub reply_to: Option<ReplyAddress>,
    /// Who is told of a failure.
    pub failure_to: Option<ReplyAddress>,
    /// The caller's conversation id, 1 to 256 visible ASCII characters.
    pub correlation_id: Option<String>,
    /// The earliest time, from `Deliver-At` or `Delay`; also absent if that time has passed.
    pub deliver_at: Option<Wall>,
    /// How long after the earliest time the call is given up; from a second to the configured
    /// ceiling.
    pub max_age: Option<Duration>,
    /// Retries after the first attempt, up to the configured ceiling.
    pub retries: Option<u32>,
    /// The time limit of one attempt; from a millisecond to the configured ceiling.
    pub timeout: Option<Duration>,
    /// Calls with the same key are made one after the other; 1 to 256 visible ASCII characters.
    pub order_key: Option<String>,
    /// Requests with the same key count as the same; 1 to 256 ASCII characters, without the quotes.
    pub idempotency_key: Option<String>,
}

/// Reads the options of a request that arrived at `now`.
///
/// # Errors
/// The first option, in the order of [`CallOption::ALL`], that is wrong or not available.
pub fn parse(fields: &Fields, config: &OptionsConfig, now: Wall) -> Result<Options, Refusal> {
    let mut options = Options::default();
    for (option, header) in config.headers.iter() {
        let mut values = all(fields, header.lower_case());
        let Some(value) = values.next() else {
            continue;
        };
        let header = header.shown();
        if config.disabled.contains(&option) {
            return Err(Refusal::NotAsynchronous(format!(
                "The option {header} is not supported by this gateway; leave it out."
            )));
        }
        let refuse = |problem: String| {
            let forms = option.forms(config);
            let detail = format!("{header}{problem}. Give {forms}.");
            let header = header.to_owned();
            Err(Refusal::BadOption { header, detail })
        };
        if values.next().is_some() {
            return refuse(" stands there more than once".to_owned());
        }
        if let Err(problem) = options.set(option, value, config, now) {
            return refuse(format!(": {} {problem}", quoted(value)));
        }
    }
    one_time_only(fields, config)?;
    Ok(options)
}

/// Refuses a request with both a delay and a time, because nobody could tell which of them counts.
fn one_time_only(fields: &Fields, config: &OptionsConfig) -> Result<(), Refusal> {
    let [time, delay] =
        [CallOption::DeliverAt, CallOption::Delay].map(|option| config.headers.of(option));
    let stands = |lower_case: &str| first(fields, lower_case).is_some();
    if !stands(time.lower_case()) || !stands(delay.lower_case()) {
        return Ok(());
    }
    Err(Refusal::BadOption {
        header: delay.shown().to_owned(),
        detail: format!(
            "{} stands beside {}. Give one of the two.",
            delay.shown(),
            time.shown()
        ),
    })
}

impl Options {
    /// Sets an option. The error says what is wrong and is written after the value.
    fn set(
        &mut self,
        option: CallOption,
        value: &[u8],
        config: &OptionsConfig,
        now: Wall,
    ) -> Result<(), String> {
        let text = std::str::from_utf8(value).ok();
        let text = text
            .filter(|text| text.bytes().all(|byte| (b' '..=b'~').contains(&byte)))
            .ok_or("has a character that isn't visible ASCII")?;
        match option {
            CallOption::Target => self.target = Some(target(text)?),
            CallOption::ReplyTo => self.reply_to = Some(ReplyAddress::parse(text)?),
            CallOption::FailureTo => self.failure_to = Some(ReplyAddress::parse(text)?),
            CallOption::CorrelationId => {
                self.correlation_id = Some(word(text, CORRELATION_ID_BYTES_MAX)?);
            }
            CallOption::DeliverAt => {
                let time = parse_time(text).ok_or_else(|| not_a_time(text))?;
                if time > later(now, config.delay_max) {
                    return Err("is too far ahead".to_owned());
                }
                self.deliver_at = (time > now).then_some(time);
            }
            CallOption::Delay => {
                let delay = duration(text, Duration::ZERO, config.delay_max)?;
                self.deliver_at = (!delay.is_zero()).then(|| later(now, delay));
            }
            CallOption::MaxAge => {
                let max_age = duration(text, Duration::from_secs(1), config.max_age_max)?;
                self.max_age = Some(max_age);
            }
            CallOption::Retries => self.retries = Some(retries(text, config.retries_max)?),
            CallOption::Timeout => {
                let timeout = duration(text, Duration::from_millis(1), config.timeout_max)?;
                self.timeout = Some(timeout);
            }
            CallOption::OrderKey => self.order_key = Some(word(text, ORDER_KEY_BYTES_MAX)?),
            CallOption::IdempotencyKey => self.idempotency_key = Some(key(text)?),
        }
        Ok(())
    }
}

/// Returns what is wrong with a text that is not a valid time. Many clocks count milliseconds.
fn not_a_time(text: &str) -> String {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number && (13..=14).contains(&text.len()) {
        true => "is not a valid time: it looks like milliseconds, but Unix seconds are expected"
            .to_owned(),
        false => "is not a valid time".to_owned(),
    }
}

/// Returns the moment `by` after `now`.
fn later(now: Wall, by: Duration) -> Wall {
    Wall(now.0.saturating_add(millis(by)))
}

fn target(text: &str) -> Result<String, String> {
    match ReplyAddress::parse(text)? {
        ReplyAddress::Url(text) => Ok(text),
        ReplyAddress::Path(_) => Err("is a path".to_owned()),
    }
}

fn word(text: &str, bytes_max: usize) -> Result<String, String> {
    if text.is_empty() || text.len() > bytes_max {
        return Err(format!("has {} characters", text.len()));
    }
    if text.contains(' ') {
        return Err("has a character that isn't visible ASCII".to_owned());
    }
    Ok(text.to_owned())
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|reason: NoDuration| reason.to_string())?;
    if duration < least {
        return Err("is too short".to_owned());
    }
    if duration > most {
        return Err("is too long".to_owned());
    }
    Ok(duration)
}

fn retries(text: &str, most: u32) -> Result<u32, String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is not a whole number".to_owned());
    }
    // The text has only digits, so only an overflow can make this fail.
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| "is too many".to_owned())
}

/// Reads an idempotency key. The header is a structured field whose value is a string
/// (draft-ietf-httpapi-idempotency-key, RFC 8941 §3.3.3), but most callers write the bare key.
fn key(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('"') else {
        return word(text, IDEMPOTENCY_KEY_BYTES_MAX);
    };
    let inner = inner.strip_suffix('"').ok_or("has no closing quote")?;
    let mut key = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Err("has a quote within".to_owned()),
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => key.push(escaped),
                _ => return Err("has a backslash that escapes nothing".to_owned()),
            },
            _ => key.push(character),
        }
    }
    if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX {
        return Err(format!("has {} characters", key.len()));
    }
    Ok(key)
}

/// Returns a value as a message shows it: escaped, and cut if it is long.
fn quoted(value: &[u8]) -> String {
    let escaped = value.escape_ascii();
    let mut shown: String = escaped
        .map(char::from)
        .take(REFUSED_VALUE_CHARACTERS_MAX + 1)
        .collect();
    if shown.len() > REFUSED_VALUE_CHARACTERS_MAX {
        shown.truncate(REFUSED_VALUE_CHARACTERS_MAX);
        shown.push('\u{2026}');
    }
    format!("\"{shown}\"")
}
