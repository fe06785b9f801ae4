// Asks both evaluators about each case, and says where they differ.
//
//   node compare.mjs WRIT_DECIDES CASES
//
// WRIT_DECIDES is the built example `decisions` of crates/policy.

import { spawnSync } from 'node:child_process'
import { runSimulation } from '@cloud-copilot/iam-simulate'
import { make } from './cases.mjs'
import { REASONS } from './explained.mjs'

const SHOWN_MAX = 8
const LIMITS = ['boundary', 'session', 'guardRails', 'resourcePolicy']
const WORDS = { Allowed: 'allow', ExplicitlyDenied: 'explicit', ImplicitlyDenied: 'implicit' }

async function otherDecides(one) {
  const named = (policies) => policies.map((policy, at) => ({ name: `p${at}`, policy }))
  const simulated = await runSimulation(
    {
      request: {
        principal: one.principal,
        action: one.action,
        resource: { resource: one.resource, accountId: one.owner },
        contextVariables: one.context,
      },
      identityPolicies: named(one.identity),
      permissionBoundaryPolicies: one.boundary ? named([one.boundary]) : undefined,
      sessionPolicy: one.session ?? undefined,
      serviceControlPolicies: (one.guardRails ?? []).map((level, at) => ({
        orgIdentifier: `level-${at}`,
        policies: named(level),
      })),
      resourceControlPolicies: [],
      resourcePolicy: one.resourcePolicy ?? undefined,
    },
    {},
  )
  if (simulated.resultType === 'error') throw new Error(`${one.seed}: ${JSON.stringify(simulated.errors)}`)
  return WORDS[simulated.overallResult]
}

const [decides, count] = [process.argv[2], Number(process.argv[3])]

function writDecides(cases) {
  const input = cases.map((one) => JSON.stringify(one)).join('\n')
  const asked = spawnSync(decides, { input, encoding: 'utf8', maxBuffer: 1 << 28 })
  if (asked.status !== 0) throw new Error(asked.stderr)
  const verdicts = asked.stdout.trim().split('\n')
  if (verdicts.length !== cases.length) throw new Error(`${verdicts.length} verdicts on ${cases.length} cases`)
  return verdicts
}

// Smaller versions of a value: an element less, a member less, a member smaller.
function* smaller(value) {
  if (Array.isArray(value)) {
    for (const at of value.keys()) {
      if (value.length > 1) yield value.toSpliced(at, 1)
      for (const part of smaller(value[at])) yield value.with(at, part)
    }
  } else if (value && typeof value === 'object') {
    for (const [name, member] of Object.entries(value)) {
      if (name === 'Condition') {
        const { Condition: _, ...rest } = value
        yield rest
      } else if (LIMITS.includes(name) && member !== null) {
        yield { ...value, [name]: null }
      }
      for (const part of smaller(member)) yield { ...value, [name]: part }
    }
  }
}

// The smallest part of a case on which they still differ as they did.
async function shrink(one, ours, theirs) {
  for (const part of smaller(one)) {
    if (writDecides([part])[0] === ours && (await otherDecides(part)) === theirs) return shrink(part, ours, theirs)
  }
  return one
}

// The fewest reasons by which the other decides as Writ does; null if none do.
async function explained(one, ours) {
  const reasons = Object.entries(REASONS)
  const sets = [...reasons.map((reason) => [reason]), reasons]
  for (const set of sets) {
    const restated = set.reduce((stated, [, restate]) => restate(stated), one)
    if ((await otherDecides(restated)) === ours) return set.map(([why]) => why).join(', and ')
  }
  return null
}

const cases = Array.from({ length: count }, (_, at) => make(at + 1))
const ours = writDecides(cases)

const seen = {}
const known = {}
let unexplained = 0
for (const [at, one] of cases.entries()) {
  const theirs = await otherDecides(one)
  seen[ours[at]] = (seen[ours[at]] ?? 0) + 1
  if (ours[at] === theirs) continue
  const why = await explained(one, ours[at])
  if (why) {
    known[why] = (known[why] ?? 0) + 1
  } else {
    unexplained += 1
    if (unexplained > SHOWN_MAX) continue
    const small = await shrink(one, ours[at], theirs)
    console.log(`writ ${ours[at]}, other ${theirs}: ${JSON.stringify(small)}`)
  }
}
for (const [why, times] of Object.entries(known)) console.log(`${times} differ: ${why}`)
console.log(`${count} cases ${JSON.stringify(seen)}, ${unexplained} differ without a reason`)
const few = Object.values(WORDS).some((word) => (seen[word] ?? 0) * 20 < count)
if (few) console.log('too few of a kind to say anything')
process.exit(unexplained || few ? 1 : 0)
