//! A forge's API as the forge itself describes it, in OpenAPI: whether a request is one that it
//! takes, whether an answer is one that it gives, and an answer of the right shape.

use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) struct Description {
    root: Value,
    /// What paths of the API begin with, and what they begin with in the description.
    base: (&'static str, &'static str),
    /// Whether answers are described well enough to be judged by type.
    pub(super) types_answers: bool,
}

/// An operation, and the path that it is described under.
pub(super) struct Operation<'d> {
    description: &'d Description,
    value: &'d Value,
    parameters: Vec<&'d Value>,
}

impl Description {
    /// Of a forge, if it was fetched.
    pub(super) fn of(forge: &str) -> Option<Self> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../forges");
        let text = std::fs::read_to_string(path.join(format!("{forge}.json"))).ok()?;
        let root = serde_json::from_str(&text).unwrap();
        let (base, types_answers) = match forge {
            // The only description that a registry has is of version 3: what is used here is the
            // same in version 4, but for its number. It says of every number that it is a text.
            "gitlab" => (("/api/v4", "/v3"), false),
            "gitea" => (("/api/v1", ""), true),
            _ => (("", ""), true),
        };
        Some(Self { root, base, types_answers })
    }

    /// The operation that a request is, if it is one.
    pub(super) fn operation(&self, method: &str, path: &str) -> Option<Operation<'_>> {
        let path = path.strip_prefix(self.base.0)?;
        let path = format!("{}{path}", self.base.1);
        let parts: Vec<&str> = path.split('/').collect();
        let paths = self.root["paths"].as_object().unwrap();
        let fits = |template: &&String| {
            let template: Vec<&str> = template.split('/').collect();
            template.len() == parts.len()
                && template.iter().zip(&parts).all(|(t, p)| t.starts_with('{') || t == p)
        };
        let literal = |template: &String| template.matches('{').count();
        let template = paths.keys().filter(fits).min_by_key(|template| literal(template))?;
        let item = &paths[template];
        let value = item.get(method.to_lowercase())?;
        let lists = [item.get("parameters"), value.get("parameters")];
        let lists = lists.into_iter().flatten().filter_map(Value::as_array).flatten();
        let parameters = lists.map(|parameter| self.resolved(parameter)).collect();
        Some(Operation { description: self, value, parameters })
    }

    fn resolved<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(place) => self.resolved(self.root.pointer(&place[1..]).unwrap()),
            None => value,
        }
    }

    /// Everything that is wrong with a value.
    fn judge(&self, schema: &Value, value: &Value) -> Vec<String> {
        let mut whole = json!({ "allOf": [schema], "components": {} });
        let mut seen = BTreeSet::new();
        self.gather(schema, &mut whole, &mut seen);
        nullable(&mut whole);
        let validator = jsonschema::draft7::new(&whole).unwrap();
        let told = validator.iter_errors(value).map(|error| {
            let place = error.instance_path().to_string();
            format!("{place}: {}", error.to_string().chars().take(200).collect::<String>())
        });
        told.collect()
    }

    /// Copies what a schema refers to.
    fn gather(&self, schema: &Value, whole: &mut Value, seen: &mut BTreeSet<String>) {
        match schema {
            Value::Object(map) => {
                if let Some(place) = map.get("$ref").and_then(Value::as_str)
                    && seen.insert(place.to_owned())
                {
                    let found = self.root.pointer(&place[1..]).unwrap();
                    let parts: Vec<&str> = place[2..].split('/').collect();
                    whole[parts[0]][parts[1]][parts[2]] = found.clone();
                    self.gather(found, whole, seen);
                }
                map.values().for_each(|value| self.gather(value, whole, seen));
            }
            Value::Array(values) => values.iter().for_each(|v| self.gather(v, whole, seen)),
            _ => {}
        }
    }

    /// The least value of a schema.
    fn example(&self, schema: &Value) -> Value {
        let schema = self.resolved(schema);
        if schema["nullable"] == true { Value::Null } else { self.present(schema) }
    }

    /// The same, where it is not nothing.
    fn present(&self, schema: &Value) -> Value {
        for way in ["anyOf", "oneOf"] {
            if let Some(first) = schema.get(way).and_then(|all| all.get(0)) {
                return self.example(first);
            }
        }
        let mut object = Map::new();
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            if let Value::Object(part) = self.example(part) {
                object.extend(part);
            }
        }
        if let Some(value) = schema.get("enum").and_then(|values| values.get(0)) {
            return value.clone();
        }
        match schema["type"].as_str() {
            Some("array") => json!([]),
            Some("boolean") => json!(false),
            Some("integer" | "number") => json!(schema["minimum"].as_i64().unwrap_or(1)),
            Some("string") => match schema["format"].as_str() {
                Some("uri") => json!("https://git.example.com/x"),
                Some("date-time") => json!("2026-01-01T00:00:00Z"),
                Some("email") => json!("x@example.com"),
                _ => json!("x"),
            },
            _ => {
                let required = schema["required"].as_array().into_iter().flatten();
                for name in required.filter_map(Value::as_str) {
                    object.insert(name.to_owned(), self.example(&schema["properties"][name]));
                }
                Value::Object(object)
            }
        }
    }
}

impl Operation<'_> {
    /// What of a request is not as described.
    pub(super) fn judge_request(&self, query: &str, body: Option<&Value>) -> Vec<String> {
        let mut wrong = Vec::new();
        let described = |name: &str| {
            let is = |p: &&&Value| p["name"] == name && p["in"] == "query";
            self.parameters.iter().find(is).copied()
        };
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let Some(parameter) = described(name) else {
                wrong.push(format!("{name} is no parameter of it"));
                continue;
            };
            let number = value.parse::<i64>().map(Value::from);
            let value = number.unwrap_or_else(|_| value.into());
            wrong.extend(self.description.judge(&parameter["schema"], &value));
        }
        let described = self.value.get("requestBody").map(|body| self.description.resolved(body));
        match (described, body) {
            (None, Some(_)) => wrong.push("it takes no body".to_owned()),
            (Some(described), None) if described["required"] == true => {
                wrong.push("it takes a body".to_owned());
            }
            (Some(described), Some(body)) => {
                let content = described["content"].as_object().unwrap();
                let schema = content.get("application/json").or(content.values().next()).unwrap();
                let schema = &schema["schema"];
                wrong.extend(self.description.judge(schema, body));
                wrong.extend(self.unknown(schema, body));
            }
            (None | Some(_), None) => {}
        }
        wrong
    }

    /// Keys that nobody described.
    fn unknown(&self, schema: &Value, value: &Value) -> Vec<String> {
        let known = self.description.resolved(schema);
        let keys = value.as_object().into_iter().flat_map(|map| map.keys());
        let unknown = keys.filter(|key| known["properties"].get(key.as_str()).is_none());
        unknown.map(|key| format!("{key} is no key of it")).collect()
    }

    /// An answer of the right shape that says this, or what is wrong with it.
    pub(super) fn answer(&self, says: &Value) -> Result<(u16, Value), Vec<String>> {
        let responses = self.value["responses"].as_object().unwrap();
        let (status, response) =
            responses.iter().find(|(status, _)| status.starts_with('2')).unwrap();
        let status: u16 = status.parse().unwrap();
        let response = self.description.resolved(response);
        let Some(content) = response.get("content") else { return Ok((status, Value::Null)) };
        let schema = &content["application/json"]["schema"];
        let schema = self.description.resolved(schema);
        let is_list = schema["type"] == "array";
        let items = if is_list { &schema["items"] } else { schema };
        let filled = |says: &Value| {
            let mut whole = self.fill(items, says);
            if !self.description.types_answers {
                whole = says.clone();
            }
            whole
        };
        let answer = match says {
            Value::Array(all) => all.iter().map(filled).collect(),
            one => filled(one),
        };
        let wrong = match self.description.types_answers {
            true => self.description.judge(schema, &answer),
            // By what its keys are called, at least.
            false => {
                let one = std::slice::from_ref(&answer);
                let all = answer.as_array().map_or(one, Vec::as_slice);
                all.iter().flat_map(|one| self.unknown(items, one)).collect()
            }
        };
        if wrong.is_empty() { Ok((status, answer)) } else { Err(wrong) }
    }

    /// What is said, and the least of everything else that is always there.
    fn fill(&self, schema: &Value, says: &Value) -> Value {
        let schema = self.description.resolved(schema);
        let Value::Object(says) = says else { return says.clone() };
        let mut whole = self.description.present(schema);
        if !whole.is_object() {
            whole = json!({});
        }
        for (key, value) in says {
            let mut property = self.description.resolved(&schema["properties"][key]);
            for way in ["allOf", "anyOf", "oneOf"] {
                if let Some(first) = property.get(way).and_then(|all| all.get(0)) {
                    property = self.description.resolved(first);
                }
            }
            whole[key] = match value {
                Value::Array(all) => {
                    all.iter().map(|one| self.fill(&property["items"], one)).collect()
                }
                value => self.fill(property, value),
            };
        }
        whole
    }
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has a type.
fn nullable(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("nullable") == Some(&json!(true)) {
                map.remove("nullable");
                let inner = Value::Object(std::mem::take(map));
                *value = json!({ "anyOf": [{ "type": "null" }, inner] });
                nullable(&mut value["anyOf"][1]);
            } else {
                map.values_mut().for_each(nullable);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(nullable),
        _ => {}
    }
}
