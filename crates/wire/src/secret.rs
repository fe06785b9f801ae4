//! Blank `Debug` for messages that carry secrets (`build.rs` leaves theirs out).
//!
//! **Must not know:** anything of the fields.

use std::fmt;

use crate::v1;

macro_rules! blank {
    ($($name:ident),*) => {$(
        impl fmt::Debug for v1::$name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    )*};
}

blank!(
    CreateAccountReply,
    CreateJoinTokenReply,
    DeriveSigningKeyReply,
    DeriveSigningKeyRequest,
    JoinRequest,
    KeyRing,
    SessionClaims
);
