//! Login profiles and the account's password policy.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn a_login_profile_is_made_once_and_leaves_before_its_user() {
    check_history(
        "quiet root CreateUser bob
        root GetLoginProfile bob
        root UpdateLoginProfile bob Correct1horse
        root CreateLoginProfile none Correct1horse
        root CreateLoginProfile bob
        root CreateLoginProfile bob Correct1horse reset
        root CreateLoginProfile bob Correct1horse
        root GetLoginProfile bob
        root UpdateLoginProfile bob - keep
        root GetLoginProfile bob
        root DeleteUser bob
        root DeleteLoginProfile bob
        root DeleteLoginProfile bob
        root DeleteUser bob",
        expect![[r#"
            root GetLoginProfile bob
                NoSuchEntity { noun: LoginProfile, name: "bob" }
            root UpdateLoginProfile bob Correct1horse
                NoSuchEntity { noun: LoginProfile, name: "bob" }
            root CreateLoginProfile none Correct1horse
                NoSuchEntity { noun: User, name: "none" }
            root CreateLoginProfile bob
                MustSpecifyPassword
            root CreateLoginProfile bob Correct1horse reset
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: Required })
            root CreateLoginProfile bob Correct1horse
                EntityAlreadyExists { noun: LoginProfile, name: "bob" }
            root GetLoginProfile bob
                GetLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: Required })
            root UpdateLoginProfile bob - keep
                done
            root GetLoginProfile bob
                GetLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root DeleteUser bob
                DeleteConflict { obstacle: LoginProfile }
            root DeleteLoginProfile bob
                done
            root DeleteLoginProfile bob
                NoSuchEntity { noun: LoginProfile, name: "bob" }
            root DeleteUser bob
                done
        "#]],
    );
}

#[test]
fn without_a_policy_of_its_own_an_account_asks_for_eight_characters_of_three_kinds() {
    check_history(
        "quiet root CreateUser bob
        root CreateLoginProfile bob Short1!
        root CreateLoginProfile bob lowercase1
        root CreateLoginProfile bob lowercaseA
        root CreateLoginProfile bob lowerCASE1
        quiet root CreateAccountAlias acme-corp1
        quiet root CreateAccountAlias acme-corp1
        root UpdateLoginProfile bob Acme-Corp1
        root UpdateLoginProfile bob lower-case1",
        expect![[r#"
            root CreateLoginProfile bob Short1!
                PasswordPolicyViolation { rule: MinimumLength(8) }
            root CreateLoginProfile bob lowercase1
                PasswordPolicyViolation { rule: ThreeKinds }
            root CreateLoginProfile bob lowercaseA
                PasswordPolicyViolation { rule: ThreeKinds }
            root CreateLoginProfile bob lowerCASE1
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root UpdateLoginProfile bob Acme-Corp1
                PasswordPolicyViolation { rule: AccountName }
            root UpdateLoginProfile bob lower-case1
                done
        "#]],
    );
}

#[test]
fn an_accounts_policy_names_what_a_password_lacks() {
    check_history(
        "quiet root CreateUser bob
        root GetAccountPasswordPolicy
        root DeleteAccountPasswordPolicy
        root UpdateAccountPasswordPolicy 10 symbols,numbers,uppercase,lowercase
        root GetAccountPasswordPolicy
        root CreateLoginProfile bob aB3!5678
        root CreateLoginProfile bob aB3aB3aB3aB3
        root CreateLoginProfile bob aB!aB!aB!aB!
        root CreateLoginProfile bob a3!a3!a3!a3!
        root CreateLoginProfile bob B3!B3!B3!B3!
        root CreateLoginProfile bob aB3!aB3!aB
        root UpdateAccountPasswordPolicy 6
        root UpdateLoginProfile bob aaaaaa
        root UpdateLoginProfile bob aaaaa
        root DeleteAccountPasswordPolicy
        root UpdateLoginProfile bob aaaaaa",
        expect![[r#"
            root GetAccountPasswordPolicy
                NoSuchEntity { noun: PasswordPolicy, name: "123456789012" }
            root DeleteAccountPasswordPolicy
                NoSuchEntity { noun: PasswordPolicy, name: "123456789012" }
            root UpdateAccountPasswordPolicy 10 symbols,numbers,uppercase,lowercase
                done
            root GetAccountPasswordPolicy
                GetAccountPasswordPolicy(PasswordPolicy { minimum_length: 10, require_symbols: true, require_numbers: true, require_uppercase: true, require_lowercase: true, allow_users_to_change: false, max_age_days: None, reuse_prevention: None, hard_expiry: false })
            root CreateLoginProfile bob aB3!5678
                PasswordPolicyViolation { rule: MinimumLength(10) }
            root CreateLoginProfile bob aB3aB3aB3aB3
                PasswordPolicyViolation { rule: Symbol }
            root CreateLoginProfile bob aB!aB!aB!aB!
                PasswordPolicyViolation { rule: Number }
            root CreateLoginProfile bob a3!a3!a3!a3!
                PasswordPolicyViolation { rule: Uppercase }
            root CreateLoginProfile bob B3!B3!B3!B3!
                PasswordPolicyViolation { rule: Lowercase }
            root CreateLoginProfile bob aB3!aB3!aB
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root UpdateAccountPasswordPolicy 6
                done
            root UpdateLoginProfile bob aaaaaa
                done
            root UpdateLoginProfile bob aaaaa
                PasswordPolicyViolation { rule: MinimumLength(6) }
            root DeleteAccountPasswordPolicy
                done
            root UpdateLoginProfile bob aaaaaa
                PasswordPolicyViolation { rule: MinimumLength(8) }
        "#]],
    );
}

#[test]
fn the_last_passwords_do_not_come_again() {
    check_history(
        "quiet root CreateUser bob
        quiet root UpdateAccountPasswordPolicy 6 reuse:2
        root CreateLoginProfile bob first1
        root UpdateLoginProfile bob first1
        root UpdateLoginProfile bob second
        quiet root DeleteLoginProfile bob
        root CreateLoginProfile bob first1
        root CreateLoginProfile bob third1
        root UpdateLoginProfile bob second
        root UpdateLoginProfile bob first1",
        expect![[r#"
            root CreateLoginProfile bob first1
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root UpdateLoginProfile bob first1
                PasswordPolicyViolation { rule: Unused }
            root UpdateLoginProfile bob second
                done
            root CreateLoginProfile bob first1
                PasswordPolicyViolation { rule: Unused }
            root CreateLoginProfile bob third1
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root UpdateLoginProfile bob second
                PasswordPolicyViolation { rule: Unused }
            root UpdateLoginProfile bob first1
                done
        "#]],
    );
}

#[test]
fn users_change_their_own_password_if_they_may() {
    check_history(
        "quiet root CreateUser bob
        root ChangePassword Correct1horse Correct2horse
        bob ChangePassword Correct1horse Correct2horse
        quiet root AttachUserPolicy bob aws/IAMUserChangePassword
        bob ChangePassword Correct1horse Correct2horse
        quiet root CreateLoginProfile bob Correct1horse reset
        bob ChangePassword Correct2horse Correct3horse
        bob ChangePassword Correct1horse short
        bob ChangePassword Correct1horse Correct2horse
        root GetLoginProfile bob
        quiet root DetachUserPolicy bob aws/IAMUserChangePassword
        bob ChangePassword Correct2horse Correct3horse
        quiet root UpdateAccountPasswordPolicy 6 change
        bob ChangePassword Correct2horse Correct3horse
        quiet root PutUserPolicy bob no deny:iam:ChangePassword
        bob ChangePassword Correct3horse Correct4horse",
        expect![[r#"
            root ChangePassword Correct1horse Correct2horse
                OnlyUsers
            bob ChangePassword Correct1horse Correct2horse
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ChangePassword on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:ChangePassword action" }
            bob ChangePassword Correct1horse Correct2horse
                NoSuchEntity { noun: LoginProfile, name: "bob" }
            bob ChangePassword Correct2horse Correct3horse
                WrongPassword
            bob ChangePassword Correct1horse short
                PasswordPolicyViolation { rule: MinimumLength(8) }
            bob ChangePassword Correct1horse Correct2horse
                done
            root GetLoginProfile bob
                GetLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            bob ChangePassword Correct2horse Correct3horse
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ChangePassword on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:ChangePassword action" }
            bob ChangePassword Correct2horse Correct3horse
                done
            bob ChangePassword Correct3horse Correct4horse
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ChangePassword on resource: arn:aws:iam::123456789012:user/bob with an explicit deny in an identity-based policy" }
        "#]],
    );
}

#[test]
fn passwords_set_at_once_are_none_until_one_is_set_anew() {
    check_history(
        "quiet root CreateUser bob
        quiet root UpdateAccountPasswordPolicy 6 change
        quiet root CreateLoginProfile bob before
        sync
        a: root UpdateLoginProfile bob thieves
        b: root UpdateLoginProfile bob owners
        sync
        bob ChangePassword thieves mine11
        bob ChangePassword owners mine11
        root UpdateLoginProfile bob - keep
        root GetLoginProfile bob
        root UpdateLoginProfile bob settled
        bob ChangePassword settled mine11",
        expect![[r#"
            a: root UpdateLoginProfile bob thieves
                done
            b: root UpdateLoginProfile bob owners
                done
            bob ChangePassword thieves mine11
                ConcurrentModification { noun: LoginProfile, name: "bob" }
            bob ChangePassword owners mine11
                ConcurrentModification { noun: LoginProfile, name: "bob" }
            root UpdateLoginProfile bob - keep
                ConcurrentModification { noun: LoginProfile, name: "bob" }
            root GetLoginProfile bob
                GetLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            root UpdateLoginProfile bob settled
                done
            bob ChangePassword settled mine11
                done
        "#]],
    );
}

#[test]
fn of_policies_set_at_once_both_hold() {
    check_history(
        "quiet root CreateUser bob
        sync
        a: root UpdateAccountPasswordPolicy 12 change,age:90,reuse:3
        b: root UpdateAccountPasswordPolicy 6 symbols,age:30
        sync
        root GetAccountPasswordPolicy
        root CreateLoginProfile bob aaaaaaaaaaaa
        root CreateLoginProfile bob aaaaa!
        root CreateLoginProfile bob aaaaaaaaaaa!
        bob ChangePassword aaaaaaaaaaa! bbbbbbbbbbb!
        quiet root UpdateAccountPasswordPolicy 6
        sync
        a: root DeleteAccountPasswordPolicy
        b: root UpdateAccountPasswordPolicy 6 numbers
        sync
        root UpdateLoginProfile bob aaaaaa1
        root UpdateLoginProfile bob aaaaaaaaa
        root UpdateLoginProfile bob aaaaaaA1",
        expect![[r#"
            a: root UpdateAccountPasswordPolicy 12 change,age:90,reuse:3
                done
            b: root UpdateAccountPasswordPolicy 6 symbols,age:30
                done
            root GetAccountPasswordPolicy
                GetAccountPasswordPolicy(PasswordPolicy { minimum_length: 12, require_symbols: true, require_numbers: false, require_uppercase: false, require_lowercase: false, allow_users_to_change: false, max_age_days: Some(30), reuse_prevention: Some(3), hard_expiry: false })
            root CreateLoginProfile bob aaaaaaaaaaaa
                PasswordPolicyViolation { rule: Symbol }
            root CreateLoginProfile bob aaaaa!
                PasswordPolicyViolation { rule: MinimumLength(12) }
            root CreateLoginProfile bob aaaaaaaaaaa!
                CreateLoginProfile(LoginProfile { user: UserName("bob"), created: T, reset: NotRequired })
            bob ChangePassword aaaaaaaaaaa! bbbbbbbbbbb!
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ChangePassword on resource: arn:aws:iam::123456789012:user/bob because no identity-based policy allows the iam:ChangePassword action" }
            a: root DeleteAccountPasswordPolicy
                done
            b: root UpdateAccountPasswordPolicy 6 numbers
                done
            root UpdateLoginProfile bob aaaaaa1
                PasswordPolicyViolation { rule: MinimumLength(8) }
            root UpdateLoginProfile bob aaaaaaaaa
                PasswordPolicyViolation { rule: ThreeKinds }
            root UpdateLoginProfile bob aaaaaaA1
                done
        "#]],
    );
}
