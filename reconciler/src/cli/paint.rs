//! Colours of plans and problems. Where they do not belong the writer strips them.

use anstyle::{AnsiColor, Style};
use planner::render::{Paint, Tone};

/// ANSI colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ansi;

impl Paint for Ansi {
    fn paint(&self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Heading | Tone::Summary => Style::new().bold(),
            Tone::Add => AnsiColor::Green.on_default(),
            Tone::Change => AnsiColor::Yellow.on_default(),
            Tone::Destroy => AnsiColor::Red.on_default().bold(),
            Tone::Wanting => AnsiColor::Magenta.on_default(),
            Tone::Dim => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }
}
