//! What serialising a section leaves out: the zero values that Go's `omitempty` leaves out.

use super::place::At;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A type with a value that Go takes for "not given".
pub(crate) trait Zero {
    fn is_zero(&self) -> bool;
}

impl Zero for String {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl Zero for i64 {
    fn is_zero(&self) -> bool {
        *self == 0
    }
}

impl Zero for bool {
    fn is_zero(&self) -> bool {
        !*self
    }
}

impl<T> Zero for Vec<T> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Zero for BTreeMap<K, V> {
    fn is_zero(&self) -> bool {
        self.is_empty()
    }
}

/// Whether a field is left out: it was not given, or given as its zero value.
pub(crate) fn empty<T: Zero>(field: &Option<At<T>>) -> bool {
    field.as_ref().is_none_or(|at| at.value.is_zero())
}

/// The given texts, or none.
pub(crate) fn texts(field: Option<&At<Vec<At<String>>>>) -> &[At<String>] {
    field.map_or(&[], |at| at.value.as_slice())
}

/// The given text, if it is not empty: Go does not tell the two apart.
pub(crate) fn given(field: Option<&At<String>>) -> Option<&At<String>> {
    field.filter(|at| !at.value.is_empty())
}
