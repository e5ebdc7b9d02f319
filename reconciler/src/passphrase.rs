//! A passphrase that a person types, on the terminal and unseen.

use std::io;
use zeroize::Zeroizing;

/// Asks once, for a passphrase that is known.
///
/// # Errors
/// There is no terminal, or it cannot be read.
pub(crate) fn ask() -> io::Result<Zeroizing<Vec<u8>>> {
    typed("Passphrase: ")
}

/// Asks twice, for a new one.
///
/// # Errors
/// As [`ask`]; the two are not the same.
pub(crate) fn ask_new() -> io::Result<Zeroizing<Vec<u8>>> {
    let first = typed("New passphrase: ")?;
    match typed("The same again: ")? == first {
        true => Ok(first),
        false => Err(io::Error::other("the two are not the same")),
    }
}

fn typed(question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    Ok(Zeroizing::new(rpassword::prompt_password(question)?.into_bytes()))
}
