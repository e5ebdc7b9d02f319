//! What names look like that become parts of marks, paths and commands.

/// The rule of app names, for hints.
pub(crate) const APP: &str =
    "use 1 to 63 lower-case letters, digits and dashes, not beginning with a dash";
/// The rule of group names, for hints.
pub(crate) const GROUP: &str =
    "use 1 to 63 letters, digits, dashes and underscores, not beginning with a dash";
/// The rule of regions, for hints.
pub(crate) const REGION: &str =
    "use 1 to 20 lower-case letters, digits and dashes, not beginning with a dash, such as ewr";
/// The rule of volume names, for hints.
pub(crate) const SOURCE: &str = "use 1 to 30 lower-case letters, digits and underscores";

fn is(text: &str, longest: usize, extra: &[u8], upper: bool) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase()
            || byte.is_ascii_digit()
            || (upper && byte.is_ascii_uppercase())
            || extra.contains(&byte)
    };
    (1..=longest).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(fits)
}

/// Whether this can be an app's name.
#[must_use]
pub fn is_app(text: &str) -> bool {
    is(text, 63, b"-", false)
}

/// Whether this can be a process group's name.
#[must_use]
pub fn is_group(text: &str) -> bool {
    is(text, 63, b"-_", true)
}

/// Whether this can be a region.
#[must_use]
pub fn is_region(text: &str) -> bool {
    is(text, 20, b"-", false)
}

/// Whether this can be a volume's name.
#[must_use]
pub fn is_source(text: &str) -> bool {
    is(text, 30, b"_", false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    #[test]
    fn hostile_names_are_refused() {
        for text in ["", "-a", "a/b", "../x", "a b", "$(x)", "a'b", "é", "a\0", "a\n", ".", "a;b"]
        {
            assert!(!is_app(text) && !is_group(text), "{text:?}");
            assert!(!is_region(text) && !is_source(text), "{text:?}");
        }
        let long: String = core::iter::repeat_n('x', 64).collect();
        assert!(!is_app(&long) && is_app(&long[..63]));
        assert!(!is_source(&long[..31]) && is_source("data_1") && !is_source("Data"));
        assert!(is_group("Web_1-a") && !is_app("Web"));
    }
}
