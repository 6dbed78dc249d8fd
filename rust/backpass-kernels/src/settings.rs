//! What the environment asks for.
//!
//! Each setting is read where it is first needed. One that cannot be understood counts as not set;
//! [`problems`] says what is wrong with it.

use std::env::{self, VarError};

use crate::isa::Isa;
use crate::threads::MOST;

/// A setting; `Ok(None)` if it is not set.
type Setting<T> = Result<Option<T>, String>;

fn read<T>(name: &str, understand: impl FnOnce(&str) -> Result<T, String>) -> Setting<T> {
    match env::var(name) {
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is no text")),
        Ok(text) if text.trim().is_empty() => Ok(None),
        Ok(text) => match understand(text.trim()) {
            Ok(value) => Ok(Some(value)),
            Err(problem) => Err(format!("{name}={text:?} {problem}")),
        },
    }
}

fn threads() -> Setting<usize> {
    read("BACKPASS_NUM_THREADS", |text| match text.parse() {
        Ok(n) if (1..=MOST).contains(&n) => Ok(n),
        _ => Err(format!("is no whole number from 1 to {MOST}")),
    })
}

fn limit() -> Setting<usize> {
    read("BACKPASS_POOL_LIMIT", |text| {
        text.parse().map_err(|_| "is no whole number of bytes".to_owned())
    })
}

fn instructions() -> Setting<Isa> {
    read("BACKPASS_ISA", |text| {
        let known = [Isa::Scalar, Isa::Avx2, Isa::Avx512];
        let Some(isa) = known.into_iter().find(|isa| isa.name() == text) else {
            return Err("is none of scalar, avx2 and avx512".to_owned());
        };
        if Isa::available().contains(&isa) {
            Ok(isa)
        } else {
            Err("is no instruction set of this processor".to_owned())
        }
    })
}

/// `BACKPASS_NUM_THREADS`: how many threads a kernel may use.
#[must_use]
pub fn num_threads() -> Option<usize> {
    threads().ok().flatten()
}

/// `BACKPASS_POOL_LIMIT`: how many bytes may lie idle.
#[must_use]
pub fn pool_limit() -> Option<usize> {
    limit().ok().flatten()
}

/// `BACKPASS_ISA`: the instruction set to use.
#[must_use]
pub fn isa() -> Option<Isa> {
    instructions().ok().flatten()
}

/// What is wrong with the settings, a sentence each.
#[must_use]
pub fn problems() -> Vec<String> {
    [threads().err(), limit().err(), instructions().err()].into_iter().flatten().collect()
}
