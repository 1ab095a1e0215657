//! The classes of OCSF that records are shown as, and what their activities are called.
//!
//! Numbers and captions are the published ones (ocsf/ocsf-schema, v1.9.0 and v1.8.0); `testdata/ocsf.json` has the same and more,
//! and tests compare what we write with it.

/// One class.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) uid: u16,
    pub(super) caption: &'static str,
    /// Those that a record can be of. 0 and 99 are the same in every class.
    activities: &'static [(u8, &'static str)],
}

impl Class {
    /// What the activity is called, `None` for *Other*, whose name the source gives.
    pub(super) fn activity(&self, id: u8) -> Option<&'static str> {
        self.activities.iter().find(|(known, _)| *known == id).map(|(_, caption)| *caption)
    }

    /// Number and name of its category.
    pub(super) fn category(&self) -> (u16, &'static str) {
        match self.uid / 1000 {
            6 => (6, "Application Activity"),
            _ => (3, "Identity & Access Management"),
        }
    }
}

/// The class of this number; API Activity, which can tell anything, for one that is not here.
pub(super) fn of(uid: u16) -> &'static Class {
    CLASSES.iter().find(|class| class.uid == uid).unwrap_or(&API)
}

const API: Class = Class {
    uid: 6003,
    caption: "API Activity",
    activities: &[(1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete")],
};

static CLASSES: &[Class] = &[
    Class {
        uid: 3001,
        caption: "Account Change",
        activities: &[
            (1, "Create"),
            (2, "Enable"),
            (3, "Password Change"),
            (4, "Password Reset"),
            (5, "Disable"),
            (6, "Delete"),
            (7, "Attach Policy"),
            (8, "Detach Policy"),
            (9, "Lock"),
            (10, "MFA Factor Enable"),
            (11, "MFA Factor Disable"),
            (12, "Unlock"),
        ],
    },
    Class {
        uid: 3002,
        caption: "Authentication",
        activities: &[(1, "Logon"), (2, "Logoff"), (6, "Preauth"), (7, "Account Switch")],
    },
    Class {
        uid: 3003,
        caption: "Authorize Session",
        activities: &[(1, "Assign Privileges"), (2, "Assign Groups"), (3, "Assign Roles")],
    },
    Class {
        uid: 3004,
        caption: "Entity Management",
        activities: &[(1, "Create"), (2, "Read"), (3, "Update"), (4, "Delete"), (8, "Enable"), (9, "Disable")],
    },
    Class {
        uid: 3005,
        caption: "User Access Management",
        activities: &[(1, "Assign Privileges"), (2, "Revoke Privileges")],
    },
    Class {
        uid: 3006,
        caption: "Group Management",
        activities: &[
            (1, "Assign Privileges"),
            (2, "Revoke Privileges"),
            (3, "Add User"),
            (4, "Remove User"),
            (5, "Delete"),
            (6, "Create"),
            (9, "Update"),
        ],
    },
    Class {
        uid: 3007,
        caption: "User Management",
        activities: &[
            (1, "Create"),
            (2, "Update"),
            (3, "Delete"),
            (4, "Enable"),
            (5, "Disable"),
            (6, "Lock"),
            (7, "Unlock"),
            (8, "Password Change"),
            (9, "Password Reset"),
            (12, "Enable MFA Factors"),
            (13, "Disable MFA Factors"),
            (14, "Assign Privileges"),
            (15, "Remove Privileges"),
            (16, "Assign Roles"),
            (17, "Remove Roles"),
            (18, "Add Programmatic Credentials"),
            (19, "Remove Programmatic Credentials"),
        ],
    },
    Class {
        uid: 3008,
        caption: "Role Management",
        activities: &[(1, "Create"), (2, "Update"), (3, "Delete"), (4, "Assign Privileges"), (5, "Remove Privileges")],
    },
    API,
];
