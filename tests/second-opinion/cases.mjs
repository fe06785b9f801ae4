// Generated requests with all that decides on them, the same for the same seed.
//
// Only what both sides have: real actions on resources they have, keys that are global.

const OWN = '111111111111'
const OTHER = '222222222222'

const ASKED = [
  { action: 's3:GetObject', resource: () => 'arn:aws:s3:::bucket/bob/k', shared: true },
  { action: 's3:PutObject', resource: () => 'arn:aws:s3:::bucket/eve/k', shared: true },
  { action: 's3:ListBucket', resource: () => 'arn:aws:s3:::bucket', shared: true },
  { action: 'sqs:SendMessage', resource: (owner) => `arn:aws:sqs:eu-west-1:${owner}:q`, shared: true },
  { action: 'sns:Publish', resource: (owner) => `arn:aws:sns:eu-west-1:${owner}:bob`, shared: true },
  { action: 'dynamodb:GetItem', resource: () => `arn:aws:dynamodb:eu-west-1:${OWN}:table/t`, shared: false },
  { action: 'ec2:DescribeInstances', resource: () => '*', shared: false },
]

const ACTIONS = [
  '*', 's3:*', 's3:Get*', 's3:GetObject', 'S3:getobject', 's3:?etObject', 's3:*Object', 's3:PutObject',
  's3:List*', 'sqs:*', 'sqs:SendMessage', 'sns:Publish', 'sns:*', 'dynamodb:Get*', 'ec2:Describe*', 'kms:Decrypt',
]
const RESOURCES = [
  '*', 'arn:aws:s3:::*', 'arn:aws:s3:::bucket', 'arn:aws:s3:::bucket/*', 'arn:aws:s3:::bucket/bob/*',
  'arn:aws:s3:::bucket/${aws:username}/*', "arn:aws:s3:::bucket/${aws:PrincipalTag/home, 'eve'}/*",
  'arn:aws:s3:::bucket/???/k', 'arn:aws:s3:::*/k', `arn:aws:sqs:*:${OWN}:*`, 'arn:aws:sqs:eu-west-1:*:q',
  'arn:aws:sns:*:*:${aws:username}', 'arn:aws:sns:eu-west-1:*:b*', `arn:aws:dynamodb:*:${OWN}:table/*`,
]
const CONDITIONS = [
  { StringEquals: { 'aws:username': 'bob' } },
  { StringEquals: { 'AWS:UserName': ['eve', 'bob'] } },
  { StringNotEquals: { 'aws:username': ['bob', 'eve'] } },
  { StringEqualsIfExists: { 'aws:PrincipalTag/team': 'red' } },
  { StringNotEqualsIfExists: { 'aws:PrincipalTag/team': 'red' } },
  { StringEqualsIgnoreCase: { 'aws:PrincipalTag/team': 'RED' } },
  { StringNotEqualsIgnoreCase: { 'aws:PrincipalTag/team': 'Red' } },
  { StringLike: { 'aws:username': 'b*', 'aws:PrincipalTag/team': 'r?d' } },
  { StringNotLike: { 'aws:PrincipalTag/team': ['b*', 'g*'] } },
  { StringEquals: { 'aws:PrincipalTag/team': "${aws:PrincipalTag/home, 'red'}" } },
  { StringEquals: { 'aws:PrincipalTag/team': '${aws:PrincipalTag/home}' } },
  { StringNotEquals: { 'aws:PrincipalTag/team': '${aws:PrincipalTag/home}' } },
  { StringNotLike: { 'aws:PrincipalTag/team': ['${aws:PrincipalTag/home}*', 'b*'] } },
  { 'ForAnyValue:StringEquals': { 'aws:TagKeys': ['a', 'z'] } },
  { 'ForAllValues:StringLike': { 'aws:TagKeys': ['a*', 'b*'] } },
  { 'ForAllValues:StringEquals': { 'aws:TagKeys': 'a' } },
  { 'ForAnyValue:StringNotEquals': { 'aws:TagKeys': 'a' } },
  { 'ForAllValues:StringNotEquals': { 'aws:TagKeys': ['c', 'z'] } },
  { Bool: { 'aws:MultiFactorAuthPresent': 'true' } },
  { BoolIfExists: { 'aws:MultiFactorAuthPresent': 'false' } },
  { Bool: { 'aws:SecureTransport': 'false' } },
  { NumericLessThan: { 'aws:MultiFactorAuthAge': '300' } },
  { NumericGreaterThanEquals: { 'aws:MultiFactorAuthAge': '300' } },
  { NumericNotEquals: { 'aws:MultiFactorAuthAge': ['300', '100'] } },
  { NumericLessThanEqualsIfExists: { 'aws:MultiFactorAuthAge': '1' } },
  { DateGreaterThan: { 'aws:CurrentTime': '2026-01-01T00:00:00Z' } },
  { DateLessThanEquals: { 'aws:CurrentTime': '2026-06-01T00:00:00Z' } },
  { DateNotEquals: { 'aws:CurrentTime': '2026-06-01T00:00:00Z' } },
  { DateLessThan: { 'aws:TokenIssueTime': '2026-05-01T00:00:00Z' } },
  { IpAddress: { 'aws:SourceIp': '192.0.2.0/24' } },
  { NotIpAddress: { 'aws:SourceIp': ['192.0.2.7', '2001:db8::/32'] } },
  { IpAddress: { 'aws:SourceIp': '2001:db8::/32' } },
  { ArnLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:user/*' } },
  { ArnEquals: { 'aws:PrincipalArn': `arn:aws:iam::${OWN}:role/ops` } },
  { ArnNotLike: { 'aws:PrincipalArn': 'arn:aws:iam::*:role/o*' } },
  { Null: { 'aws:PrincipalTag/team': 'true' } },
  { Null: { 'aws:TagKeys': 'false' }, Bool: { 'aws:SecureTransport': 'true' } },
]
const USER = `arn:aws:iam::${OWN}:user/bob`
const ROLE = `arn:aws:iam::${OWN}:role/ops`
const SESSION = `arn:aws:sts::${OWN}:assumed-role/ops/s1`
const PRINCIPALS = ['*', OWN, `arn:aws:iam::${OWN}:root`, OTHER, USER, ROLE, SESSION, `arn:aws:iam::${OWN}:user/eve`]

// xorshift64*, of which the upper bits are used.
class Random {
  constructor(seed) {
    this.state = (BigInt(seed) * 0x9e3779b97f4a7c15n) & 0xffffffffffffffffn | 1n
  }
  below(bound) {
    this.state ^= this.state >> 12n
    this.state ^= (this.state << 25n) & 0xffffffffffffffffn
    this.state ^= this.state >> 27n
    return Number(((this.state * 0x2545f4914f6cdd1dn) & 0xffffffffffffffffn) >> 33n) % bound
  }
  oneIn(n) {
    return this.below(n) === 0
  }
  pick(from) {
    return from[this.below(from.length)]
  }
  list(from, max) {
    return Array.from({ length: 1 + this.below(max) }, () => this.pick(from))
  }
}

function statement(random, about) {
  const not = (n) => (random.oneIn(n) ? 'Not' : '')
  const made = { Effect: random.oneIn(5) ? 'Deny' : 'Allow' }
  if (about === 'resource') {
    const exempt = made.Effect === 'Deny' && random.oneIn(3) ? 'NotPrincipal' : 'Principal'
    made[exempt] = { AWS: random.list(PRINCIPALS, 3) }
  }
  made[`${not(8)}Action`] = random.list(ACTIONS, 4)
  made[`${not(10)}Resource`] = random.list(RESOURCES, 6)
  if (random.oneIn(2)) made.Condition = random.pick(CONDITIONS)
  return made
}

function policy(random, about = 'identity') {
  const statements = Array.from({ length: 1 + random.below(4) }, () => statement(random, about))
  return { Version: '2012-10-17', Statement: statements }
}

// As often wide as narrow, so that enough gets through to the other layers.
function limit(random) {
  const all = { Effect: 'Allow', Action: '*', Resource: '*' }
  const made = policy(random)
  if (random.oneIn(2)) made.Statement.push(all)
  return made
}

function context(random, isRole) {
  const made = {
    'aws:PrincipalArn': isRole ? ROLE : USER,
    'aws:SecureTransport': random.pick(['true', 'false']),
    'aws:SourceIp': random.pick(['192.0.2.7', '198.51.100.1', '2001:db8::7']),
    'aws:CurrentTime': random.pick(['2026-06-01T00:00:00Z', '2025-01-01T00:00:00Z']),
  }
  if (!isRole) made['aws:username'] = 'bob'
  if (isRole) made['aws:TokenIssueTime'] = random.pick(['2026-04-30T10:00:00Z', '2026-05-02T10:00:00Z'])
  if (random.oneIn(2)) made['aws:MultiFactorAuthPresent'] = random.pick(['true', 'false'])
  if (random.oneIn(2)) made['aws:MultiFactorAuthAge'] = random.pick(['100', '300', '4000'])
  if (random.oneIn(2)) made['aws:PrincipalTag/team'] = random.pick(['red', 'Red', 'blue'])
  if (random.oneIn(3)) made['aws:PrincipalTag/home'] = random.pick(['bob', 'red'])
  if (random.oneIn(2)) made['aws:TagKeys'] = random.pick([['a'], ['a', 'b'], ['c']])
  return made
}

/** One case. */
export function make(seed) {
  const random = new Random(seed)
  const asked = random.pick(ASKED)
  const isRole = random.oneIn(2)
  const owner = asked.shared && random.oneIn(3) ? OTHER : OWN
  return {
    seed,
    principal: isRole ? SESSION : USER,
    action: asked.action,
    resource: asked.resource(owner),
    owner,
    context: context(random, isRole),
    identity: Array.from({ length: 1 + random.below(3) }, () => policy(random)),
    boundary: random.oneIn(4) ? limit(random) : null,
    session: isRole && random.oneIn(3) ? limit(random) : null,
    guardRails: random.oneIn(4) ? [[limit(random)], [limit(random), policy(random)]] : null,
    resourcePolicy: asked.shared && random.oneIn(2) ? policy(random, 'resource') : null,
  }
}
