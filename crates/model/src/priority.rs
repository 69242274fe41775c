//! Order inside a queue.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Order inside a queue: a higher priority is claimed first; equals go by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// 1
    Low = 1,
    /// 2, the default
    #[default]
    Normal = 2,
    /// 3
    High = 3,
    /// 4
    Critical = 4,
}

impl Priority {
    /// All priorities, lowest first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Critical];

    /// The number 1 to 4 that the store keeps.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The priority of a number 1 to 4.
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|p| i64::from(p.number()) == number)
    }

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Priority {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|p| p.name() == text || p.number().to_string() == text)
            .ok_or("one of low, normal, high, critical or 1 to 4")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree() {
        for priority in Priority::ALL {
            assert_eq!(priority.name().parse(), Ok(priority));
            assert_eq!(priority.number().to_string().parse(), Ok(priority));
            assert_eq!(Priority::from_number(i64::from(priority.number())), Some(priority));
        }
        assert!("urgent".parse::<Priority>().is_err());
        assert_eq!(Priority::from_number(5), None);
    }
}
