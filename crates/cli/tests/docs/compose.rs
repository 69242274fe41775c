//! As much of compose files as is asked of them.

use std::collections::{BTreeMap, BTreeSet};

use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

use crate::markdown::root;

/// A compose file.
pub(crate) struct Compose {
    pub(crate) services: BTreeMap<String, Service>,
    /// The names of its volumes.
    pub(crate) volumes: BTreeSet<String>,
}

/// One of its services.
pub(crate) struct Service(Yaml);

impl Compose {
    /// Reads a file by its path from the root.
    pub(crate) fn read(path: &str) -> Self {
        let text = std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        let documents = YamlLoader::load_from_str(&text).unwrap_or_else(|e| panic!("{path}: {e}"));
        let [document] = documents.as_slice() else { panic!("{path}: not one document") };
        let document = merged(document);
        let services = hash(&document["services"]).iter();
        let services = services.map(|(name, service)| (text_of(name), Service(service.clone()))).collect();
        let volumes = hash(&document["volumes"]).keys().map(text_of).collect();
        Self { services, volumes }
    }
}

impl Service {
    pub(crate) fn image(&self) -> String {
        text_of(&self.0["image"])
    }

    /// How many of it run.
    pub(crate) fn replicas(&self) -> i64 {
        self.0["deploy"]["replicas"].as_i64().unwrap_or(1)
    }

    pub(crate) fn command(&self) -> Vec<String> {
        list(&self.0["command"])
    }

    /// The command of its health check, without `CMD`.
    pub(crate) fn health_check(&self) -> Vec<String> {
        list(&self.0["healthcheck"]["test"]).into_iter().skip(1).collect()
    }

    /// Whether it has a health check; if not, one that the image may have is switched off.
    pub(crate) fn is_checked(&self) -> bool {
        let check = &self.0["healthcheck"];
        assert!(!check["test"].is_badvalue() || check["disable"] == Yaml::Boolean(true), "{check:?}");
        !check["test"].is_badvalue()
    }

    /// The services it waits for, and until when.
    pub(crate) fn depends_on(&self) -> Vec<(String, String)> {
        let entries = self.0["depends_on"].as_hash().into_iter().flatten();
        entries.map(|(name, how)| (text_of(name), text_of(&how["condition"]))).collect()
    }

    /// The driver of its logs and that one's options.
    pub(crate) fn logging(&self) -> (String, BTreeMap<String, String>) {
        let logging = &self.0["logging"];
        let options = hash(&logging["options"]).iter().map(|(name, value)| (text_of(name), text_of(value)));
        (text_of(&logging["driver"]), options.collect())
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let entries = self.0["environment"].as_hash().into_iter().flatten();
        entries.map(|(name, value)| (text_of(name), text_of(value))).collect()
    }

    /// Source and target of each volume.
    pub(crate) fn volumes(&self) -> Vec<(String, String)> {
        let parts = |volume: String| {
            let mut parts = volume.split(':').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap())
        };
        list(&self.0["volumes"]).into_iter().map(parts).collect()
    }

    /// All of it but these keys.
    pub(crate) fn without(&self, keys: &[&str]) -> Yaml {
        let is_left = |key: &Yaml| !keys.contains(&key.as_str().unwrap());
        Yaml::Hash(
            hash(&self.0).iter().filter(|(k, _)| is_left(k)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        )
    }
}

/// `${NAME}`, `${NAME:?message}` and `${NAME:-default}`, replaced.
pub(crate) fn interpolate(text: &str, values: &BTreeMap<&str, &str>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (inside, behind) = after.split_once('}').unwrap();
        let end = inside.find(':').unwrap_or(inside.len());
        let (name, rule) = inside.split_at(end);
        let default = rule.strip_prefix(":-");
        let value = values.get(name).copied().or(default).unwrap_or_else(|| panic!("{name} is not set"));
        result.extend([before, value]);
        rest = behind;
    }
    result + rest
}

/// With the mappings under `<<` laid beneath what stands beside them.
fn merged(yaml: &Yaml) -> Yaml {
    match yaml {
        Yaml::Hash(hash) => {
            let mut result = Hash::new();
            if let Some(Yaml::Hash(below)) = hash.get(&Yaml::String("<<".into())).map(merged) {
                result.extend(below);
            }
            let own = hash.iter().filter(|(key, _)| key.as_str() != Some("<<"));
            result.extend(own.map(|(key, value)| (key.clone(), merged(value))));
            Yaml::Hash(result)
        }
        Yaml::Array(items) => Yaml::Array(items.iter().map(merged).collect()),
        other => other.clone(),
    }
}

fn hash(yaml: &Yaml) -> &Hash {
    yaml.as_hash().unwrap_or_else(|| panic!("not a mapping: {yaml:?}"))
}

fn list(yaml: &Yaml) -> Vec<String> {
    yaml.as_vec().into_iter().flatten().map(text_of).collect()
}

fn text_of(yaml: &Yaml) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("not text: {yaml:?}")).to_owned()
}
