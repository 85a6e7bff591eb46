//! `name=value` arguments as JSON, read by what the schema wants.

use serde_json::{Map, Value};

use crate::model::suggest::did_you_mean;

/// The object that `pairs` describe. A value is read as JSON unless its property is of type string; what is not JSON is
/// text. `schema` is the JSON Schema of the object, if there is one.
pub fn object(pairs: &[String], schema: Option<&Value>) -> Result<Map<String, Value>, String> {
    let mut object = Map::new();
    let properties = schema.and_then(|schema| schema.get("properties")?.as_object());
    for pair in pairs {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("`{pair}` is not of the form name=value"));
        };
        let property = properties.and_then(|properties| properties.get(name));
        if let (Some(properties), None) = (properties, property)
            && let Some(near) = did_you_mean(name, properties.keys().map(String::as_str))
        {
            return Err(format!("there is no `{name}`; {near}"));
        }
        object.insert(name.to_owned(), read(value, property));
    }
    Ok(object)
}

fn read(value: &str, property: Option<&Value>) -> Value {
    let wants_text = property.is_some_and(|property| property.get("type").is_some_and(|kind| kind == "string"));
    if wants_text {
        return value.into();
    }
    serde_json::from_str(value).unwrap_or_else(|_| value.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_decides_what_a_value_is() {
        let schema =
            json!({ "properties": { "phone": { "type": "string" }, "count": { "type": "integer" }, "tags": {} } });
        let pairs = ["phone=0151", "count=3", "tags=[\"a\"]", "note=a=b"].map(ToOwned::to_owned);
        let read = object(&pairs, Some(&schema)).expect("good pairs");
        assert_eq!(Value::Object(read), json!({ "phone": "0151", "count": 3, "tags": ["a"], "note": "a=b" }));
        assert_eq!(
            object(&["phon=1".to_owned()], Some(&schema)),
            Err("there is no `phon`; did you mean `phone`?".to_owned())
        );
        assert!(object(&["alone".to_owned()], None).is_err());
    }
}
