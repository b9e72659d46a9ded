//! An input read as a script: choices, and bytes for those that need some.

/// The bytes that are left of the input.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    /// A byte, or 0 where there is none.
    pub(crate) fn choice(&mut self) -> usize {
        self.byte().unwrap_or_default().into()
    }

    /// One of `usual`, or bytes of any kind, with their number (past those of `usual`) in front.
    pub(crate) fn packet(&mut self, usual: &'a [&str]) -> &'a [u8] {
        let choice = self.choice();
        if let Some(usual) = usual.get(choice) {
            return usual.as_bytes();
        }
        let (bytes, rest) = self.0.split_at((choice - usual.len()).min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
