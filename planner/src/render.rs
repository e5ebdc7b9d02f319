//! Plans and reports, told to people and to programs. Nothing here decides: what is shown comes
//! from the plan and the report alone.

pub mod json;
pub mod markdown;
mod sensitive;
pub mod text;

use alloc::string::{String, ToString};

/// What a piece of text is, so that a caller can give it a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// The title of a section.
    Heading,
    /// Something new.
    Add,
    /// Something changed.
    Change,
    /// Data or a slot that goes.
    Destroy,
    /// Something that is not done though it is wanted.
    Wanting,
    /// The line that sums up.
    Summary,
    /// Reasons and hints: less important than what they explain.
    Dim,
}

/// Colours text, or leaves it as it is.
pub trait Paint {
    /// The text in the tone's colour.
    fn paint(&self, tone: Tone, text: &str) -> String;
}

/// Leaves text as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Paint for Plain {
    fn paint(&self, _: Tone, text: &str) -> String {
        text.to_string()
    }
}
