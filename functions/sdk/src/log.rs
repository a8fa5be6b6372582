//! The host's log, as a trait: the host's on WebAssembly, a list of lines in a native test.

use crate::Level;

/// The host's log. Above `debug` a line holds no personal data.
pub trait Log {
    /// Writes one line. `part` names the part of the function that speaks.
    fn write(&mut self, level: Level, part: &str, message: &str);
}

impl dyn Log + '_ {
    /// What helps whoever looks for a fault. May hold personal data.
    pub fn debug(&mut self, part: &str, message: &str) {
        self.write(Level::Debug, part, message);
    }

    /// What an operator may want to know.
    pub fn info(&mut self, part: &str, message: &str) {
        self.write(Level::Info, part, message);
    }

    /// What is odd, with nothing lost.
    pub fn warn(&mut self, part: &str, message: &str) {
        self.write(Level::Warn, part, message);
    }
}
