//! OpenID Connect providers of an account.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn a_provider_is_called_what_its_url_says() {
    check_history(
        "root CreateOpenIDConnectProvider idp.example.com:8443/a b,a,b 990F4193972F2BECF12DDEDA5237F9C952F20D9E team=a
        root CreateOpenIDConnectProvider IDP.example.com:8443/a
        quiet root CreateOpenIDConnectProvider idp.example.com
        root GetOpenIDConnectProvider idp.example.com:8443/a
        root GetOpenIDConnectProvider idp.example.com:8443/A
        root GetOpenIDConnectProvider arn:aws:iam::222222222222:oidc-provider/idp.example.com
        root ListOpenIDConnectProviders
        root@222222222222 ListOpenIDConnectProviders
        root ListOpenIDConnectProviderTags idp.example.com:8443/a
        quiet root TagOpenIDConnectProvider idp.example.com a=b
        quiet root UntagOpenIDConnectProvider idp.example.com a
        root ListOpenIDConnectProviderTags idp.example.com
        root DeleteOpenIDConnectProvider idp.example.com
        root DeleteOpenIDConnectProvider idp.example.com",
        expect![[r#"
            root CreateOpenIDConnectProvider idp.example.com:8443/a b,a,b 990F4193972F2BECF12DDEDA5237F9C952F20D9E team=a
                CreateOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com:8443/a"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com:8443/a", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("a"), ClientId("b")], thumbprints: [Thumbprint("990f4193972f2becf12ddeda5237f9c952f20d9e")], tags: [Tag { key: TagKey("team"), value: TagValue("a") }] })
            root CreateOpenIDConnectProvider IDP.example.com:8443/a
                EntityAlreadyExists { noun: OidcProvider, name: "IDP.example.com:8443/a" }
            root GetOpenIDConnectProvider idp.example.com:8443/a
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com:8443/a"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com:8443/a", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("a"), ClientId("b")], thumbprints: [Thumbprint("990f4193972f2becf12ddeda5237f9c952f20d9e")], tags: [Tag { key: TagKey("team"), value: TagValue("a") }] })
            root GetOpenIDConnectProvider idp.example.com:8443/A
                NoSuchEntity { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com:8443/A" }
            root GetOpenIDConnectProvider arn:aws:iam::222222222222:oidc-provider/idp.example.com
                NoSuchEntity { noun: OidcProvider, name: "arn:aws:iam::222222222222:oidc-provider/idp.example.com" }
            root ListOpenIDConnectProviders
                ListOpenIDConnectProviders([Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com:8443/a", colons: [3, 7, 11, 12, 25] }, Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }])
            root@222222222222 ListOpenIDConnectProviders
                ListOpenIDConnectProviders([])
            root ListOpenIDConnectProviderTags idp.example.com:8443/a
                ListOpenIDConnectProviderTags(Listing { items: [Tag { key: TagKey("team"), value: TagValue("a") }], next: None })
            root ListOpenIDConnectProviderTags idp.example.com
                ListOpenIDConnectProviderTags(Listing { items: [], next: None })
            root DeleteOpenIDConnectProvider idp.example.com
                done
            root DeleteOpenIDConnectProvider idp.example.com
                NoSuchEntity { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com" }
        "#]],
    );
}

#[test]
fn client_ids_come_and_go_one_by_one_and_thumbprints_together() {
    check_history(
        "quiet root CreateOpenIDConnectProvider idp.example.com a
        root AddClientIDToOpenIDConnectProvider idp.example.com b
        root AddClientIDToOpenIDConnectProvider idp.example.com b
        root RemoveClientIDFromOpenIDConnectProvider idp.example.com a
        root RemoveClientIDFromOpenIDConnectProvider idp.example.com a
        root UpdateOpenIDConnectProviderThumbprint idp.example.com 990f4193972f2becf12ddeda5237f9c952f20d9e
        root GetOpenIDConnectProvider idp.example.com
        root UpdateOpenIDConnectProviderThumbprint idp.example.com -
        root GetOpenIDConnectProvider idp.example.com
        root AddClientIDToOpenIDConnectProvider idp2.example.com b",
        expect![[r#"
            root AddClientIDToOpenIDConnectProvider idp.example.com b
                done
            root AddClientIDToOpenIDConnectProvider idp.example.com b
                done
            root RemoveClientIDFromOpenIDConnectProvider idp.example.com a
                done
            root RemoveClientIDFromOpenIDConnectProvider idp.example.com a
                done
            root UpdateOpenIDConnectProviderThumbprint idp.example.com 990f4193972f2becf12ddeda5237f9c952f20d9e
                done
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("b")], thumbprints: [Thumbprint("990f4193972f2becf12ddeda5237f9c952f20d9e")], tags: [] })
            root UpdateOpenIDConnectProviderThumbprint idp.example.com -
                done
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("b")], thumbprints: [], tags: [] })
            root AddClientIDToOpenIDConnectProvider idp2.example.com b
                NoSuchEntity { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp2.example.com" }
        "#]],
    );
}

#[test]
fn policies_may_name_providers_and_ask_for_tags() {
    check_history(
        r#"quiet root CreateUser bob
        quiet root CreateOpenIDConnectProvider idp.example.com/a - - team=a
        quiet root CreateOpenIDConnectProvider idp.example.com/b - - team=b
        quiet root PutUserPolicy bob in {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*OpenIDConnectProvider*","Resource":"arn:aws:iam::123456789012:oidc-provider/idp.example.com/*","Condition":{"StringEqualsIfExists":{"aws:ResourceTag/team":"b"}}}}
        bob DeleteOpenIDConnectProvider idp.example.com/a
        bob AddClientIDToOpenIDConnectProvider idp.example.com/b a
        bob CreateOpenIDConnectProvider idp2.example.com/a
        bob ListOpenIDConnectProviders"#,
        expect![[r#"
            bob DeleteOpenIDConnectProvider idp.example.com/a
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:DeleteOpenIDConnectProvider on resource: arn:aws:iam::123456789012:oidc-provider/idp.example.com/a because no identity-based policy allows the iam:DeleteOpenIDConnectProvider action" }
            bob AddClientIDToOpenIDConnectProvider idp.example.com/b a
                done
            bob CreateOpenIDConnectProvider idp2.example.com/a
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:CreateOpenIDConnectProvider on resource: arn:aws:iam::123456789012:oidc-provider/idp2.example.com/a because no identity-based policy allows the iam:CreateOpenIDConnectProvider action" }
            bob ListOpenIDConnectProviders
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:ListOpenIDConnectProviders on resource: * because no identity-based policy allows the iam:ListOpenIDConnectProviders action" }
        "#]],
    );
}

#[test]
fn client_ids_that_are_added_at_once_are_both_there_and_one_that_may_be_gone_is_shown() {
    check_history(
        "quiet root CreateOpenIDConnectProvider idp.example.com a
        sync
        quiet a: root AddClientIDToOpenIDConnectProvider idp.example.com b
        quiet b: root AddClientIDToOpenIDConnectProvider idp.example.com c
        quiet a: root AddClientIDToOpenIDConnectProvider idp.example.com a
        quiet b: root RemoveClientIDFromOpenIDConnectProvider idp.example.com a
        sync
        root GetOpenIDConnectProvider idp.example.com
        conflicts
        root Resolve oidc_client_id remove
        root GetOpenIDConnectProvider idp.example.com
        conflicts",
        expect![[r#"
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("a"), ClientId("b"), ClientId("c")], thumbprints: [], tags: [] })
            conflicts
                oidc_client_id: OpenID Connect provider idp.example.com, client id `a`
                  node 1, 123456789012:root, AddClientIDToOpenIDConnectProvider: added
                  node 2, 123456789012:root, RemoveClientIDFromOpenIDConnectProvider: removed
                  withheld: sessions for tokens of this client
                  1: iam:AddClientIDToOpenIDConnectProvider
                  remove: iam:RemoveClientIDFromOpenIDConnectProvider
            root Resolve oidc_client_id remove
                done
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("b"), ClientId("c")], thumbprints: [], tags: [] })
            conflicts
                none
        "#]],
    );
}

#[test]
fn lists_of_thumbprints_that_were_set_at_once_are_a_conflict() {
    check_history(
        "quiet root CreateOpenIDConnectProvider idp.example.com a
        sync
        quiet a: root UpdateOpenIDConnectProviderThumbprint idp.example.com -
        quiet b: root UpdateOpenIDConnectProviderThumbprint idp.example.com 990f4193972f2becf12ddeda5237f9c952f20d9e
        sync
        conflicts
        root Resolve oidc_thumbprints 2
        root GetOpenIDConnectProvider idp.example.com
        conflicts",
        expect![[r#"
            conflicts
                oidc_thumbprints: OpenID Connect provider idp.example.com, thumbprints
                  node 1, 123456789012:root, UpdateOpenIDConnectProviderThumbprint: any
                  node 2, 123456789012:root, UpdateOpenIDConnectProviderThumbprint: 990f4193972f2becf12ddeda5237f9c952f20d9e
                  withheld: keys from hosts whose certificates not every side has
                  1: iam:UpdateOpenIDConnectProviderThumbprint
                  2: iam:UpdateOpenIDConnectProviderThumbprint
            root Resolve oidc_thumbprints 2
                done
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("a")], thumbprints: [Thumbprint("990f4193972f2becf12ddeda5237f9c952f20d9e")], tags: [] })
            conflicts
                none
        "#]],
    );
}

#[test]
fn one_that_was_used_and_deleted_at_once_can_only_be_deleted() {
    check_history(
        "quiet root CreateOpenIDConnectProvider idp.example.com a
        sync
        quiet a: root AddClientIDToOpenIDConnectProvider idp.example.com b
        quiet b: root DeleteOpenIDConnectProvider idp.example.com
        sync
        conflicts
        root AddClientIDToOpenIDConnectProvider idp.example.com c
        root UpdateOpenIDConnectProviderThumbprint idp.example.com -
        root TagOpenIDConnectProvider idp.example.com a=b
        root RemoveClientIDFromOpenIDConnectProvider idp.example.com b
        root CreateOpenIDConnectProvider idp.example.com a
        root Resolve existence remove
        conflicts
        quiet root CreateOpenIDConnectProvider idp.example.com a",
        expect![[r#"
            conflicts
                existence: OpenID Connect provider idp.example.com, whether it exists
                  node 1, 123456789012:root, AddClientIDToOpenIDConnectProvider: made at T
                  node 2, 123456789012:root, DeleteOpenIDConnectProvider: removed
                  withheld: what it allows; what it denies counts
                  remove: iam:DeleteOpenIDConnectProvider
            root AddClientIDToOpenIDConnectProvider idp.example.com c
                ConcurrentModification { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com" }
            root UpdateOpenIDConnectProviderThumbprint idp.example.com -
                ConcurrentModification { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com" }
            root TagOpenIDConnectProvider idp.example.com a=b
                ConcurrentModification { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com" }
            root RemoveClientIDFromOpenIDConnectProvider idp.example.com b
                done
            root CreateOpenIDConnectProvider idp.example.com a
                EntityAlreadyExists { noun: OidcProvider, name: "idp.example.com" }
            root Resolve existence remove
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn two_of_one_url_are_rivals_until_one_is_deleted() {
    check_history(
        "quiet a: root CreateOpenIDConnectProvider idp.example.com a
        quiet b: root CreateOpenIDConnectProvider idp.example.com b
        sync
        conflicts
        root AddClientIDToOpenIDConnectProvider idp.example.com c
        root DeleteOpenIDConnectProvider idp.example.com
        conflicts
        root GetOpenIDConnectProvider idp.example.com",
        expect![[r#"
            conflicts
                rivals: OpenID Connect provider idp.example.com, the name `idp.example.com`
                  node 1, 123456789012:root, CreateOpenIDConnectProvider: arn:aws:iam::123456789012:oidc-provider/idp.example.com ID
                  node 2, 123456789012:root, CreateOpenIDConnectProvider: arn:aws:iam::123456789012:oidc-provider/idp.example.com ID
                  withheld: what they allow, and giving them anything; what they deny counts
                  by a call: iam:DeleteOpenIDConnectProvider
            root AddClientIDToOpenIDConnectProvider idp.example.com c
                ConcurrentModification { noun: OidcProvider, name: "arn:aws:iam::123456789012:oidc-provider/idp.example.com" }
            root DeleteOpenIDConnectProvider idp.example.com
                done
            conflicts
                none
            root GetOpenIDConnectProvider idp.example.com
                GetOpenIDConnectProvider(OidcProvider { id: AOPA…, name: OidcProviderName("idp.example.com"), arn: Arn { text: "arn:aws:iam::123456789012:oidc-provider/idp.example.com", colons: [3, 7, 11, 12, 25] }, created: T, client_ids: [ClientId("b")], thumbprints: [], tags: [] })
        "#]],
    );
}
