//! Who may do what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a user may do; each role includes the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads its own tasks.
    Viewer,
    /// Submits and steers its own tasks.
    #[default]
    User,
    /// Sees and steers everybody's tasks, queues, workers and schedules.
    Operator,
    /// Also manages users and settings, and purges.
    Admin,
}

/// One right; [`Role::allows`] is the whole matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Read one's own tasks.
    TaskRead,
    /// Submit, change, cancel, retry and delete one's own tasks.
    TaskWrite,
    /// The same for everybody's tasks.
    TaskAll,
    /// See and drain workers, mint worker tokens.
    WorkerManage,
    /// Remove tasks for good.
    TaskPurge,
    /// See and change users.
    UserManage,
}

impl Permission {
    /// All permissions, in the order of the role matrix.
    pub const ALL: [Self; 6] = [
        Self::TaskRead,
        Self::TaskWrite,
        Self::TaskAll,
        Self::WorkerManage,
        Self::TaskPurge,
        Self::UserManage,
    ];
}

impl Role {
    /// All roles, least first.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::User, Self::Operator, Self::Admin];

    /// Whether this role holds the permission.
    pub fn allows(self, permission: Permission) -> bool {
        let least = match permission {
            Permission::TaskRead => Self::Viewer,
            Permission::TaskWrite => Self::User,
            Permission::TaskAll | Permission::WorkerManage => Self::Operator,
            Permission::TaskPurge | Permission::UserManage => Self::Admin,
        };
        self >= least
    }

    /// The name users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::User => "user",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|r| r.name() == text).ok_or("one of viewer, user, operator, admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_matrix_is_the_golden_file() {
        let row = |permission| {
            let holders: Vec<_> =
                Role::ALL.into_iter().filter(|r| r.allows(permission)).map(Role::name).collect();
            format!("{permission:?}: {}", holders.join(" "))
        };
        let drawn = Permission::ALL.map(row).join("\n");
        assert_eq!(drawn, include_str!("../role_matrix.txt").trim_end());
    }
}
