//! SAML providers of an account.

use expect_test::expect;

use crate::history::{History, check_history};

#[test]
fn a_provider_is_its_metadata() {
    check_history(
        "root CreateSAMLProvider idp certificate-1.pem
        quiet root CreateSAMLProvider idp metadata-1.xml team=a
        root CreateSAMLProvider IDP metadata-1.xml
        root UpdateSAMLProvider idp certificate-1.pem
        root UpdateSAMLProvider idp metadata-2.xml
        root UpdateSAMLProvider other metadata-2.xml
        root ListSAMLProviderTags idp
        quiet root TagSAMLProvider idp a=b
        quiet root UntagSAMLProvider idp team
        root ListSAMLProviderTags idp
        root GetSAMLProvider Idp
        root GetSAMLProvider arn:aws:iam::222222222222:saml-provider/idp
        root DeleteSAMLProvider idp
        root DeleteSAMLProvider idp
        root ListSAMLProviders",
        expect![[r#"
            root CreateSAMLProvider idp certificate-1.pem
                MalformedMetadata
            root CreateSAMLProvider IDP metadata-1.xml
                EntityAlreadyExists { noun: SamlProvider, name: "IDP" }
            root UpdateSAMLProvider idp certificate-1.pem
                MalformedMetadata
            root UpdateSAMLProvider idp metadata-2.xml
                UpdateSAMLProvider(Arn { text: "arn:aws:iam::123456789012:saml-provider/idp", colons: [3, 7, 11, 12, 25] })
            root UpdateSAMLProvider other metadata-2.xml
                NoSuchEntity { noun: SamlProvider, name: "arn:aws:iam::123456789012:saml-provider/other" }
            root ListSAMLProviderTags idp
                ListSAMLProviderTags(Listing { items: [Tag { key: TagKey("team"), value: TagValue("a") }], next: None })
            root ListSAMLProviderTags idp
                ListSAMLProviderTags(Listing { items: [Tag { key: TagKey("a"), value: TagValue("b") }], next: None })
            root GetSAMLProvider Idp
                NoSuchEntity { noun: SamlProvider, name: "arn:aws:iam::123456789012:saml-provider/Idp" }
            root GetSAMLProvider arn:aws:iam::222222222222:saml-provider/idp
                NoSuchEntity { noun: SamlProvider, name: "arn:aws:iam::222222222222:saml-provider/idp" }
            root DeleteSAMLProvider idp
                done
            root DeleteSAMLProvider idp
                NoSuchEntity { noun: SamlProvider, name: "arn:aws:iam::123456789012:saml-provider/idp" }
            root ListSAMLProviders
                ListSAMLProviders([])
        "#]],
    );
    let mut history = History::new();
    let said = history.run(
        "root CreateSAMLProvider idp metadata-1.xml
        root UpdateSAMLProvider idp metadata-2.xml
        root GetSAMLProvider idp",
    );
    assert!(said.contains("https://idp2.example.com"), "{said}");
}

#[test]
fn a_document_has_a_limit() {
    let mut history = History::new();
    let metadata = include_str!("../../testdata/metadata-1.xml");
    let fill = |bytes: usize| {
        // The words of a step are split at spaces.
        let metadata = metadata.replace(['\n', ' '], "\u{9}");
        let comment = "x".repeat(bytes - metadata.len() - "<!---->".len());
        format!("root CreateSAMLProvider idp {metadata}<!--{comment}-->")
    };
    assert!(history.run(&fill(131_073)).contains("LimitExceeded { quota: SamlMetadataSize }"));
    assert!(history.run(&fill(131_072)).contains("CreateSAMLProvider("));
}

#[test]
fn documents_that_were_set_at_once_are_a_conflict() {
    check_history(
        "quiet root CreateSAMLProvider idp metadata-1.xml
        sync
        quiet a: root UpdateSAMLProvider idp metadata-1.xml
        quiet b: root UpdateSAMLProvider idp metadata-2.xml
        sync
        conflicts
        root Resolve saml_metadata 2
        conflicts
        sync
        quiet a: root UpdateSAMLProvider idp metadata-1.xml
        quiet b: root DeleteSAMLProvider idp
        sync
        conflicts
        root UpdateSAMLProvider idp metadata-1.xml
        root Resolve existence remove
        sync
        conflicts
        quiet a: root CreateSAMLProvider idp metadata-1.xml
        quiet b: root CreateSAMLProvider idp metadata-2.xml
        sync
        conflicts",
        expect![[r#"
            conflicts
                saml_metadata: SAML provider idp, metadata
                  node 1, 123456789012:root, UpdateSAMLProvider: valid until 2090-01-01T00:00:00Z
                  node 2, 123456789012:root, UpdateSAMLProvider: valid until 2120-01-01T00:00:00Z
                  withheld: sessions for its assertions
                  1: iam:UpdateSAMLProvider
                  2: iam:UpdateSAMLProvider
            root Resolve saml_metadata 2
                done
            conflicts
                none
            conflicts
                existence: SAML provider idp, whether it exists
                  node 1, 123456789012:root, UpdateSAMLProvider: made at T
                  node 2, 123456789012:root, DeleteSAMLProvider: removed
                  withheld: what it allows; what it denies counts
                  remove: iam:DeleteSAMLProvider
                saml_metadata: SAML provider idp, metadata
                  node 1, 123456789012:root, UpdateSAMLProvider: valid until 2090-01-01T00:00:00Z
                  node 2, 123456789012:root, DeleteSAMLProvider: removed
                  withheld: sessions for its assertions
                  1: iam:UpdateSAMLProvider
            root UpdateSAMLProvider idp metadata-1.xml
                ConcurrentModification { noun: SamlProvider, name: "arn:aws:iam::123456789012:saml-provider/idp" }
            root Resolve existence remove
                done
            conflicts
                none
            conflicts
                rivals: SAML provider idp, the name `idp`
                  node 1, 123456789012:root, CreateSAMLProvider: arn:aws:iam::123456789012:saml-provider/idp ID
                  node 2, 123456789012:root, CreateSAMLProvider: arn:aws:iam::123456789012:saml-provider/idp ID
                  withheld: what they allow, and giving them anything; what they deny counts
                  by a call: iam:DeleteSAMLProvider
        "#]],
    );
}
