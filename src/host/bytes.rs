//! The one place with unsafe code: header values that aren't UTF-8.

/// Shows bytes to an SDK function that takes `&str` but only copies the bytes into a buffer for
/// Envoy, as the SDK's functions for headers do. The SDK has no form of these functions for bytes,
/// and a header value need not be text (RFC 9110 §5.5).
#[allow(unsafe_code)]
pub(super) fn as_header_text(bytes: &[u8]) -> &str {
    // SAFETY: the callee reads length and bytes and never looks at characters, so the text is
    // never used as UTF-8.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}
