//! Makes text of unknown origin safe for a terminal: it can't move the cursor, change colours,
//! reverse the direction of writing, or fill the screen.

/// Returns whether a terminal might take this character for a command, or show nothing or something
/// else: controls of ASCII and of ISO 8859-1 (Unicode category Cc), marks of direction (UAX #9),
/// and characters without width, which let two different texts look alike.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns one line: dangerous characters as `\n` or `\u{1b}`, and at most `chars` characters of
/// the text, followed by `…` if there are more.
#[must_use]
pub fn line(text: &str, chars: usize) -> String {
    escape(text, chars, |_| false)
}

/// Returns several lines: like [`line`](fn@line), but line feeds and tabs stay.
#[must_use]
pub fn lines(text: &str, chars: usize) -> String {
    escape(text, chars, |character| matches!(character, '\n' | '\t'))
}

fn escape(text: &str, chars: usize, keep: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len().min(chars));
    let mut characters = text.chars();
    for character in characters.by_ref().take(chars) {
        if is_dangerous(character) && !keep(character) {
            escaped.extend(character.escape_default());
        } else {
            escaped.push(character);
        }
    }
    if characters.next().is_some() {
        escaped.push('…');
    }
    escaped
}

/// Returns the first `chars` characters, followed by `…` if there are more. Nothing is escaped.
#[must_use]
pub fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns JSON text with dangerous characters escaped as RFC 8259 section 7 allows. JSON's own
/// escapes cover only ASCII. Such characters occur only in strings.
#[must_use]
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_ascii() && is_dangerous(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else if character == '\u{7f}' {
            escaped.push_str("\\u007f");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Returns a count such as `1 call`, `2 calls`, `12,000 calls`.
#[must_use]
pub fn count(number: u64, singular: &str, plural: &str) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len().saturating_mul(2));
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let noun = if number == 1 { singular } else { plural };
    format!("{grouped} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_gets_no_commands() {
        assert_eq!(
            line("a\u{1b}[2Jb\u{9b}\u{202e}", 99),
            "a\\u{1b}[2Jb\\u{9b}\\u{202e}"
        );
        assert_eq!(line("one\ntwo\t", 99), "one\\ntwo\\t");
        assert_eq!(lines("one\ntwo\r", 99), "one\ntwo\\r");
        assert_eq!(line("größer 日本", 99), "größer 日本");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(line("日本語", 2), "日本…");
        assert_eq!(line("日本語", 3), "日本語");
        assert_eq!(clip("日\n語", 2), "日\n…");
        assert_eq!(clip("日\n語", 3), "日\n語");
    }

    #[test]
    fn json_stays_the_same_json() {
        let value = serde_json::json!({ "a": "\u{1b}\u{7f}\u{9b}\u{202e}\u{e0001}ß" });
        let escaped = json(&value.to_string());
        assert_eq!(escaped, r#"{"a":"\u001b\u007f\u009b\u202e\udb40\udc01ß"}"#);
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&escaped).unwrap(),
            value
        );
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(1, "call", "calls"), "1 call");
        assert_eq!(count(999, "call", "calls"), "999 calls");
        assert_eq!(count(1_234_567, "call", "calls"), "1,234,567 calls");
    }
}
