// What the two are known to read differently. Each reason rewrites a case so that the other
// evaluator is asked what Writ understood: a difference is explained if they then agree.

// The other splits a pattern at its colons before it puts values in, so that it takes the last part
// of `arn:aws:sns:*:*:${aws:username}` for two. AWS: "IAM policy elements: Variables and tags".
function variables(one) {
  const name = one.context['aws:username']
  if (!name) return one
  return JSON.parse(JSON.stringify(one).replaceAll(':${aws:username}"', `:${name}"`))
}

// AWS: "JSON policy elements: NotPrincipal": who is to be spared is listed with its account, its
// user or role, and its session. The other is content with any one of them.
function exemptions(one) {
  if (!one.resourcePolicy) return one
  const account = one.principal.split(':')[4]
  const names = [[account, `arn:aws:iam::${account}:root`], [one.context['aws:PrincipalArn']], [one.principal]]
  const spared = (listed) => listed.includes('*') || names.every((any) => any.some((name) => listed.includes(name)))
  const statements = one.resourcePolicy.Statement.flatMap(({ NotPrincipal, ...rest }) => {
    if (!NotPrincipal) return [rest]
    return spared(NotPrincipal.AWS) ? [] : [{ ...rest, Principal: { AWS: ['*'] } }]
  })
  const resourcePolicy = statements.length ? { ...one.resourcePolicy, Statement: statements } : null
  return { ...one, resourcePolicy }
}

// AWS: "Policies and permissions in IAM", on session policies: what a resource's policy gives to a
// session by its own ARN is not limited by the session's policies but where they deny.
function sessions(one) {
  if (!one.session || !JSON.stringify(one.resourcePolicy ?? '').includes(one.principal)) return one
  const all = { Effect: 'Allow', Action: '*', Resource: '*' }
  return { ...one, session: { ...one.session, Statement: [...one.session.Statement, all] } }
}

// A variable without a value matches nothing. Of what a policy says about all that it does not match,
// Writ takes the narrow reading: an `Allow` does not count, a `Deny` does. AWS says only that such a
// statement may be invalid; the other takes the narrow one for an `Allow` and the wide one for a `Deny`.
function unresolved(one) {
  const isOpen = (text) =>
    [...text.matchAll(/\$\{([^,}]+)\}/g)].some(([, key]) => !(key in one.context))
  const listed = (value) => [value].flat()
  const begins = (pattern) => one.resource.startsWith(pattern.split(/[*?$]/)[0])
  const restate = (statement) => {
    const { Condition = {}, NotResource, ...rest } = statement
    const tests = Object.entries(Condition)
    const open = ([operator, keys]) => operator.includes('Not') && Object.values(keys).flatMap(listed).some(isOpen)
    const openResource = NotResource?.some((pattern) => isOpen(pattern) && begins(pattern))
    if (statement.Effect === 'Allow' && (openResource || tests.some(open))) return []
    const restated = { ...rest }
    const left = tests.filter((test) => !open(test))
    if (left.length) restated.Condition = Object.fromEntries(left)
    if (NotResource) {
      const closed = NotResource.filter((pattern) => !isOpen(pattern))
      if (closed.length) restated.NotResource = closed
      else restated.Resource = ['*']
    }
    return [restated]
  }
  const nothing = { Effect: 'Allow', Action: 'kms:Decrypt', Resource: '*' }
  const policies = (value) => {
    if (Array.isArray(value)) return value.map(policies)
    if (!value) return value
    const statements = value.Statement.flatMap(restate)
    return { ...value, Statement: statements.length ? statements : [nothing] }
  }
  const { identity, boundary, session, guardRails } = one
  const principal = (policy) => (policy ? { ...policy, Statement: policy.Statement.flatMap(restate) } : policy)
  let resourcePolicy = principal(one.resourcePolicy)
  if (resourcePolicy && !resourcePolicy.Statement.length) resourcePolicy = null
  return {
    ...one,
    identity: policies(identity),
    boundary: policies(boundary),
    session: policies(session),
    guardRails: policies(guardRails),
    resourcePolicy,
  }
}

// AWS does not say whether a session that a resource's policy allows as `*` is limited as one that it
// names by its role. Writ takes it so; the other leaves the boundary out.
function anyone(one) {
  if (!one.resourcePolicy || one.principal === one.context['aws:PrincipalArn']) return one
  const named = (principal) => (principal === '*' ? one.context['aws:PrincipalArn'] : principal)
  const statements = one.resourcePolicy.Statement.map((statement) =>
    statement.Effect === 'Allow' ? { ...statement, Principal: { AWS: statement.Principal.AWS.map(named) } } : statement,
  )
  return { ...one, resourcePolicy: { ...one.resourcePolicy, Statement: statements } }
}

/** By what is said of them. */
export const REASONS = {
  'a variable behind a colon of a resource': variables,
  'NotPrincipal with one name of several': exemptions,
  'a variable without a value behind a Not': unresolved,
  'a session that a resource names by its ARN': sessions,
  'a session with a boundary that a resource allows as anyone': anyone,
}
