//! Step 1b: a header that looks like an option but isn't one is refused rather than ignored.
//! Otherwise the caller would ask for something and not get it.

use crate::accept::config::OptionsConfig;
use crate::accept::refusal::Refusal;
use crate::call_option::CallOption;
use crate::headers::{CALL_HEADERS, REPLY_HEADERS, RESPONSE_PREFIX, dashed};
use crate::http::{Fields, cut};
use crate::limits::REFUSED_VALUE_CHARACTERS_MAX;

/// What every option's header starts with, unless the configuration gives it another name.
const OPTION_START: &str = "async-";

/// Refuses a marked request with such a header. Underscores count as hyphens, because many targets
/// can't tell them apart.
///
/// # Errors
/// The first such header, with the options that exist.
pub fn refuse_lookalikes(fields: &Fields, config: &OptionsConfig) -> Result<(), Refusal> {
    let Some((name, _)) = fields.iter().find(|(name, _)| is_lookalike(name, config)) else {
        return Ok(());
    };
    let mut header = name.clone();
    cut(&mut header, REFUSED_VALUE_CHARACTERS_MAX);
    let options = config.headers.iter();
    let options = options.filter(|(option, _)| !config.disabled.contains(option));
    let options: Vec<&str> = options.map(|(_, header)| header.shown()).collect();
    let detail = format!(
        "{header} is not an option. Options are {}. Leave it out; a header for the target alone \
         has to stand in this gateway's options.otherHeaders.",
        options.join(", ")
    );
    Err(Refusal::BadOption { header, detail })
}

/// Returns whether this name, in lower case, looks like an option but is neither an option nor a
/// header that the gateway adds. Headers that the gateway adds are dropped silently, because a
/// function that the gateway calls may pass on the headers that it got.
fn is_lookalike(name: &str, config: &OptionsConfig) -> bool {
    let meant = dashed(name);
    let mut headers = config.headers.iter().map(|(_, header)| header.lower_case());
    let mut names = config.headers.iter().map(|(_, header)| header.lower_case());
    let is_like_one = meant.starts_with(OPTION_START) || headers.any(|one| dashed(one) == meant);
    is_like_one
        && !names.any(|one| one == name)
        && !is_call_header(&meant)
        && !config.other_headers.iter().any(|one| one == name)
}

/// Returns whether the gateway itself adds this header to a dispatched call or reply.
fn is_call_header(name: &str) -> bool {
    let correlation = CallOption::CorrelationId.default_header();
    CALL_HEADERS.contains(&name)
        || REPLY_HEADERS.contains(&name)
        || name.starts_with(RESPONSE_PREFIX)
        || correlation.eq_ignore_ascii_case(name)
}

/// Returns why the operator can't list this name, in lower case, in `options.otherHeaders`.
#[must_use]
pub fn cannot_be_other(name: &str) -> Option<&'static str> {
    let meant = dashed(name);
    let is_option = |option: CallOption| option.default_header().eq_ignore_ascii_case(&meant);
    if is_call_header(&meant) || CallOption::ALL.into_iter().any(is_option) {
        Some("is an option or a mark of a call, which no target gets from a client")
    } else if !meant.starts_with(OPTION_START) {
        Some("starts not with Async-, so that it is kept for the target anyway")
    } else {
        None
    }
}
