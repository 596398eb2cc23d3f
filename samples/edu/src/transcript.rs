// SPDX-License-Identifier: GPL-2.0

//! The transcript: numbered steps under chapter headings, each checked before it is printed as ok.

use std::fmt;
use std::io;

use anyhow::Result;

/// Prints and counts the steps.
#[derive(Default)]
pub struct Transcript {
    chapters: u32,
    steps: u32,
}

/// A number printed in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<T>(pub T);

impl<T: fmt::LowerHex> fmt::Display for Hex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Transcript {
    /// How many steps have passed.
    pub fn steps(&self) -> u32 {
        self.steps
    }

    /// Opens a chapter.
    pub fn chapter(&mut self, title: &str) {
        self.chapters += 1;
        println!("\n== {}. {title}", self.chapters);
    }

    /// Says something that is not checked.
    pub fn note(&self, text: impl fmt::Display) {
        println!("           {text}");
    }

    /// Records a step that has passed, with what was seen (or nothing).
    fn passed(&mut self, what: &str, seen: &str) {
        self.steps += 1;
        let sep = if seen.is_empty() { "" } else { ": " };
        println!("  {:3}  ok   {what}{sep}{seen}", self.steps);
    }

    /// The error of a step that has failed.
    fn failed(&self, what: &str, expected: &str, seen: &str) -> anyhow::Error {
        let step = self.steps + 1;
        println!(
            "  {step:3}  FAIL {what}\n           expected: {expected}\n           seen:     {seen}"
        );
        anyhow::anyhow!("step {step} failed: {what}: expected {expected}, seen {seen}")
    }

    /// Expects `seen` to be `expected`.
    pub fn equal<T>(&mut self, what: &str, seen: T, expected: T) -> Result<()>
    where
        T: PartialEq + fmt::Display,
    {
        if seen != expected {
            return Err(self.failed(what, &expected.to_string(), &seen.to_string()));
        }
        self.passed(what, &seen.to_string());
        Ok(())
    }

    /// Expects the condition `holds`, of which `seen` is what was looked at.
    pub fn require(
        &mut self,
        what: &str,
        holds: bool,
        expected: &str,
        seen: impl fmt::Display,
    ) -> Result<()> {
        if !holds {
            return Err(self.failed(what, expected, &seen.to_string()));
        }
        self.passed(what, &seen.to_string());
        Ok(())
    }

    /// Expects an operation to succeed, and hands on what it gave.
    pub fn succeed<T, E>(&mut self, what: &str, result: Result<T, E>) -> Result<T>
    where
        E: fmt::Display,
    {
        match result {
            Ok(value) => {
                self.passed(what, "");
                Ok(value)
            }
            Err(error) => Err(self.failed(what, "success", &error.to_string())),
        }
    }

    /// Expects an operation to be refused with the error number `errno`.
    pub fn refused<T, E>(&mut self, what: &str, result: Result<T, E>, errno: i32) -> Result<()>
    where
        E: Into<io::Error>,
    {
        let expected = io::Error::from_raw_os_error(errno);
        match result.map_err(Into::into) {
            Err(error) if error.raw_os_error() == Some(errno) => {
                self.passed(what, &error.to_string());
                Ok(())
            }
            Err(error) => Err(self.failed(what, &expected.to_string(), &error.to_string())),
            Ok(_) => Err(self.failed(what, &expected.to_string(), "success")),
        }
    }

    /// Expects two stretches of memory to hold the same bytes.
    pub fn same_bytes(&mut self, what: &str, seen: &[u8], expected: &[u8]) -> Result<()> {
        match first_difference(seen, expected) {
            None => {
                self.passed(what, &format!("{} bytes", seen.len()));
                Ok(())
            }
            Some(at) => {
                let expected = format!("byte {at} to be {}", byte_at(expected, at));
                Err(self.failed(what, &expected, &byte_at(seen, at)))
            }
        }
    }
}

/// The index of the first byte in which the two differ; the shorter one's end counts as one.
fn first_difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.len().min(other.len());
    let differing = one.iter().zip(other).position(|(a, b)| a != b);
    differing.or((one.len() != other.len()).then_some(common))
}

/// A byte in words.
fn byte_at(bytes: &[u8], at: usize) -> String {
    match bytes.get(at) {
        Some(byte) => format!("{byte:#04x}"),
        None => "past the end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found() {
        assert_eq!(first_difference(b"abc", b"abc"), None);
        assert_eq!(first_difference(b"abc", b"abd"), Some(2));
        assert_eq!(first_difference(b"abc", b"ab"), Some(2));
        assert_eq!(first_difference(b"", b""), None);
    }

    #[test]
    fn only_passed_steps_count() {
        let mut transcript = Transcript::default();
        transcript.equal("one is one", 1, 1).unwrap();
        assert!(transcript.equal("one is two", 1, 2).is_err());
        let refused: io::Result<()> = Err(io::Error::from_raw_os_error(libc::EBUSY));
        transcript.refused("busy", refused, libc::EBUSY).unwrap();
        assert!(transcript
            .refused("busy", io::Result::Ok(()), libc::EBUSY)
            .is_err());
        assert_eq!(transcript.steps(), 2);
    }
}
