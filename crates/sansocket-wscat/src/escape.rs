//! Text of a peer for a terminal, which obeys control characters.

use std::fmt::Write;

/// Returns the text with everything escaped that a terminal or the order of writing could obey. Line ends and tabs stay;
/// `indent` follows each line end, so that no line of a message can look like one of wscat.
pub fn escaped(text: &str, indent: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => {
                shown.push('\n');
                shown.push_str(indent);
            }
            '\t' => shown.push('\t'),
            '\r' => shown.push_str("\\r"),
            c if is_unsafe(c) && c.is_ascii() => _ = write!(shown, "\\x{:02x}", u32::from(c)),
            c if is_unsafe(c) => _ = write!(shown, "\\u{{{:x}}}", u32::from(c)),
            c => shown.push(c),
        }
    }
    shown
}

/// One line: line ends and tabs are escaped too.
pub fn escaped_line(text: &str) -> String {
    escaped(text, "").replace('\n', "\\n").replace('\t', "\\t")
}

/// Bytes that are probably text.
pub fn escaped_bytes(bytes: &[u8]) -> String {
    escaped_line(&String::from_utf8_lossy(bytes))
}

/// Control characters, and format characters that reorder or hide what stands around them (Unicode TR 36).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' // marks of direction, zero-width space
            | '\u{2028}' | '\u{2029}' // line and paragraph separator
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' // embeddings, overrides, isolates, invisible operators
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' // byte order mark, annotations
            | '\u{e0000}'..='\u{e007f}') // tags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        assert_eq!(escaped("a\x1b[31mb\x07\x7f\u{9b}", ""), "a\\x1b[31mb\\x07\\x7f\\u{9b}");
        assert_eq!(escaped("a\rb", ""), "a\\rb");
        assert_eq!(escaped("\u{202e}evil\u{2066}", ""), "\\u{202e}evil\\u{2066}");
        assert_eq!(escaped("a\nb\tc", "  "), "a\n  b\tc");
        assert_eq!(escaped_line("a\nb\t"), "a\\nb\\t");
        assert_eq!(escaped_bytes(b"\xff\x00"), "\u{fffd}\\x00");
    }

    #[test]
    fn text_of_any_language_stays() {
        for text in
            ["grüße", "日本語", "שלום", "👩\u{200d}👩\u{200d}👧", "\u{646}\u{645}\u{6cc}\u{200c}\u{62e}"]
        {
            assert_eq!(escaped(text, ""), text);
        }
    }
}
