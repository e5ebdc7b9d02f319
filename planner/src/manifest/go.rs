//! How Go writes values: `%v`, which flyctl turns values into strings with, and the numbers of
//! `encoding/json`.

use super::node::{Entry, Node, Shape, entries};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde_json::{Map, Number, Value};
use toml_edit::{Datetime, Offset};

/// The text of a value as `fmt.Sprintf("%v")` writes it.
pub(crate) fn text(node: Node<'_>) -> String {
    match node.shape {
        Shape::Text(text) => text.to_string(),
        Shape::Integer(number) => number.to_string(),
        Shape::Float(number) => float(number),
        Shape::Bool(truth) => truth.to_string(),
        Shape::Date(date) => moment(date),
        Shape::Array(elements) => {
            let parts: Vec<String> = elements.iter(node.span).map(text).collect();
            format!("[{}]", parts.join(" "))
        }
        Shape::Table(table) => {
            let mut pairs = entries(table, node.span);
            pairs.sort_by_key(|entry| entry.key);
            let write = |entry: &Entry<'_>| format!("{}:{}", entry.key, text(entry.node));
            let parts: Vec<String> = pairs.iter().map(write).collect();
            format!("map[{}]", parts.join(" "))
        }
    }
}

/// The shortest digits that give the number back, with an exponent below 10⁻⁴ and from 10⁶ on.
fn float(number: f64) -> String {
    if !number.is_finite() {
        return match number {
            _ if number.is_nan() => "NaN".to_string(),
            _ if number > 0.0 => "+Inf".to_string(),
            _ => "-Inf".to_string(),
        };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..6).contains(&exponent) {
        return format!("{number}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// A date or time as Go prints it: with an offset as `time.Time`, without as it was written.
fn moment(date: &Datetime) -> String {
    let (Some(day), Some(time), Some(offset)) = (date.date, date.time, date.offset) else {
        return date.to_string();
    };
    let zone = match offset {
        Offset::Z => "+0000 UTC".to_string(),
        Offset::Custom { minutes: 0 } => "+0000 UTC".to_string(),
        Offset::Custom { minutes } => {
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60);
            format!("{sign}{hours:02}{rest:02} {sign}{hours:02}{rest:02}")
        }
    };
    format!("{day} {time} {zone}")
}

/// A value as `encoding/json` writes it after one round trip: every number is a float.
pub(crate) fn json(node: Node<'_>) -> Value {
    match node.shape {
        Shape::Text(text) => Value::String(text.to_string()),
        Shape::Integer(number) => number_of(number as f64),
        Shape::Float(number) => number_of(number),
        Shape::Bool(truth) => Value::Bool(truth),
        Shape::Date(date) => Value::String(date.to_string()),
        Shape::Array(elements) => Value::Array(elements.iter(node.span).map(json).collect()),
        Shape::Table(table) => {
            let pairs = entries(table, node.span);
            let write = |entry: Entry<'_>| (entry.key.to_string(), json(entry.node));
            Value::Object(pairs.into_iter().map(write).collect::<Map<_, _>>())
        }
    }
}

/// A JSON number without a fraction where there is none.
pub(crate) fn number_of(number: f64) -> Value {
    match whole(number) {
        Some(whole) => Value::Number(whole.into()),
        None => Number::from_f64(number).map_or(Value::Null, Value::Number),
    }
}

/// The number as an integer, if it is one that fits.
pub(crate) fn whole(number: f64) -> Option<i64> {
    // 2⁶³ itself does not fit, and the cast would stop at the largest that does.
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    let cut = number as i64;
    (fits && cut as f64 == number).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml_edit::Document;

    #[test]
    fn values_become_text_as_in_go() {
        let source = "a = 1.0\nb = 1e10\nc = 0x10\nd = true\ne = 1979-05-27\nf = [1, 2]\n\
            g = 1.5\nh = 123456.0\ni = 1234567.0\nj = 0.0001\nk = 0.00001\nl = { y = 2, x = 'z' }\n\
            m = 1979-05-27T07:32:00Z\nn = 1979-05-27T00:32:00-07:00\no = 07:32:00\np = -0.0\n\
            q = inf\nr = nan\ns = 1e-7\n";
        let document = Document::parse(source).unwrap();
        let root = Node::of_table(document.as_table());
        let texts: Vec<String> =
            entries(root.table().unwrap(), root.span).iter().map(|e| text(e.node)).collect();
        let expected = [
            "1",
            "1e+10",
            "16",
            "true",
            "1979-05-27",
            "[1 2]",
            "1.5",
            "123456",
            "1.234567e+06",
            "0.0001",
            "1e-05",
            "map[x:z y:2]",
            "1979-05-27 07:32:00 +0000 UTC",
            "1979-05-27 00:32:00 -0700 -0700",
            "07:32:00",
            "-0",
            "+Inf",
            "NaN",
            "1e-07",
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn numbers_of_json_have_no_needless_fraction() {
        assert_eq!(number_of(2.0).to_string(), "2");
        assert_eq!(number_of(0.5).to_string(), "0.5");
        assert_eq!(whole(80.5), None);
        assert_eq!(whole(1e30), None);
    }
}
