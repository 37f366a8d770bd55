/**
 * Refresh tokens that are good for one use, and gateway processes that race for them, stop, and die (threats C07 to
 * C11). The authorization server is a real one: it ends the whole grant when it sees a refresh token for a second time.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { createConnections } from '../../src/credentials/oauth/connections.ts'
import { createSignIns } from '../../src/credentials/oauth/flow.ts'
import { type OAuthProvider, oauth2 } from '../../src/credentials/oauth2.ts'
import { ConnectionRequired, sign } from '../../src/credentials/provider.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../support/authorization-server.ts'
import {
  callbackUrl,
  createRoom,
  fastClock,
  optionsFor,
  outbound,
  principal,
  target,
  type TestRoom,
} from '../support/oauth-room.ts'
import type { Orders, Report, Step } from './refresh-child.ts'

const script = fileURLToPath(new URL('./refresh-child.ts', import.meta.url))
const origin = systemClock.now()
/** A lease of half a minute is over in two seconds. */
const factor = 15
const binding = 'a-browser-binding-of-enough-length'

let server: AuthorizationServer
let room: TestRoom
const children = new Set<ChildProcess>()

beforeAll(async () => {
  server = await startAuthorizationServer({ callbackUrl, credentials: ['cred'] })
  room = createRoom({ allow: [server.address], clock: fastClock(origin, factor) })
})
afterEach(() => {
  server.trouble = undefined
  for (const child of children) child.kill('SIGKILL')
  children.clear()
})
afterAll(async () => {
  await room.close()
  await server.close()
})

const providerOn = (of: TestRoom): OAuthProvider =>
  oauth2(
    optionsFor({
      grant: 'authorizationCode',
      discoveryUrl: `${server.issuer}/.well-known/openid-configuration`,
      clientSecret: new Secret(server.clientSecret),
      scopes: ['read'],
    }),
    of,
  )

const call = async (provider: OAuthProvider, subject: string): Promise<string> =>
  (await sign(outbound(), provider, principal(subject), target)).fingerprint ?? ''

/** A connection whose access token is over, whose refresh token is good once. */
async function connectExpired(subject: string): Promise<void> {
  const provider = providerOn(room)
  const signIns = createSignIns(room, () => provider)
  const error: unknown = await call(provider, subject).catch((thrown: unknown) => thrown)
  if (!(error instanceof ConnectionRequired)) throw error
  server.accessSeconds = 1
  const back = await server.browse(await signIns.start(error.pendingId, principal(subject), binding))
  await signIns.finish({ query: back.search.slice(1), credential: 'cred', binding })
  server.accessSeconds = 3_600
  await new Promise((resolve) => {
    systemClock.after(1_000 / factor + 20, () => resolve(undefined))
  })
  server.tokenRequests.length = 0
  server.tokenBodies.length = 0
}

const stateOf = async (subject: string): Promise<string | undefined> =>
  (await createConnections(room, () => undefined).listOf(principal(subject)))[0]?.state

interface Running {
  readonly child: ChildProcess
  readonly at: Promise<void>
  readonly report: Promise<Report>
}

function run(subject: string, owner: string, given: Partial<Orders> = {}): Running {
  const orders: Orders = {
    file: room.file,
    vaultKey: room.vaultKey,
    issuer: server.issuer,
    address: server.address,
    clientSecret: server.clientSecret,
    subject,
    owner,
    origin,
    factor,
    calls: 100,
    ...given,
  }
  const child = spawn(process.execPath, [script, JSON.stringify(orders)], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.add(child)
  let text = ''
  child.stdout.on('data', (piece: Buffer) => {
    text += piece.toString()
  })
  const line = (start: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = text.split('\n').find((one) => one.startsWith(start))
        if (found !== undefined && text.includes(`${found}\n`)) resolve(found.slice(start.length))
      }
      child.stdout.on('data', look)
      child.on('close', () => reject(new Error(`the process ended without saying “${start.trim()}”`)))
    })
  const report = line('done ').then((found) => JSON.parse(found) as Report)
  const at = line('at ').then(() => undefined)
  // each is waited for where it is wanted
  for (const promise of [report, at]) promise.catch(() => undefined)
  return { child, at, report }
}

const refreshes = (): number => server.tokenRequests.filter((grant) => grant === 'refresh_token').length

describe('one expired token', () => {
  it('C07: and two processes with 100 calls each: the server sees one refresh, all 200 calls succeed', async () => {
    await connectExpired('c07')
    const reports = await Promise.all([run('c07', 'p1').report, run('c07', 'p2').report])
    expect(reports.map(({ errors }) => errors)).toEqual([[], []])
    expect(new Set(reports.flatMap(({ tokens }) => tokens)).size).toBe(1)
    expect(refreshes()).toBe(1)
    expect(reports.reduce((sum, report) => sum + report.refreshes, 0)).toBe(1)
  })

  it.each<[Step, number, string]>([
    ['leased', 1, 'active'],
    ['marked', 1, 'active'],
    // the server has had the token, and its answer is lost: the one more try is one too many for it, and tells
    ['sent', 2, 'reconnect'],
    ['answered', 2, 'reconnect'],
  ])(
    'C08: whose holder is killed when it has %s: another waits, looks again, tries once',
    async (step, seen, state) => {
      const subject = `c08-${step}`
      await connectExpired(subject)
      const dying = run(subject, 'p1', { step, signal: 'SIGKILL' })
      await once(dying.child, 'close')
      // a request that had been sent is still being worked on
      if (step === 'sent') await expect.poll(refreshes).toBe(1)
      const { tokens, errors } = await run(subject, 'p2').report
      expect(refreshes()).toBe(seen)
      expect(await stateOf(subject)).toBe(state)
      if (state === 'active') expect([tokens.length, errors]).toEqual([1, []])
      else expect([tokens, new Set(errors)]).toEqual([[], new Set(['connection_required'])])
      // and no loop: whoever asks now hears the same without the server being asked
      await run(subject, 'p3').report
      expect(refreshes()).toBe(seen)
    },
  )

  it('C08: whose holders die twice with the request under way is not sent a third time', async () => {
    await connectExpired('c08-twice')
    server.trouble = () => undefined
    for (const owner of ['p1', 'p2'])
      await once(run('c08-twice', owner, { step: 'sent', signal: 'SIGKILL' }).child, 'close')
    await expect.poll(refreshes).toBe(2)
    const { errors } = await run('c08-twice', 'p3').report
    expect(new Set(errors)).toEqual(new Set(['connection_required']))
    expect(refreshes()).toBe(2)
  })

  it.each<[Step]>([['leased'], ['marked']])(
    'C09: whose holder is stopped when it has %s, past its lease: another goes on, and it sends nothing when it wakes',
    async (step) => {
      const subject = `c09-${step}`
      await connectExpired(subject)
      const stopped = run(subject, 'p1', { step, signal: 'SIGSTOP', calls: 20 })
      await stopped.at
      const other = await run(subject, 'p2').report
      expect(other.errors).toEqual([])
      stopped.child.kill('SIGCONT')
      const woken = await stopped.report
      expect(woken.errors).toEqual([])
      expect(woken.tokens).toEqual(other.tokens)
      expect(refreshes()).toBe(1)
      expect(await stateOf(subject)).toBe('active')
    },
  )

  it('C09: whose holder is stopped with the answer in hand: what it writes late does not undo what came after', async () => {
    await connectExpired('c09-late')
    const stopped = run('c09-late', 'p1', { step: 'answered', signal: 'SIGSTOP', calls: 20 })
    await stopped.at
    // the user signs in again meanwhile, since the other process found the grant ended
    await run('c09-late', 'p2').report
    expect(await stateOf('c09-late')).toBe('reconnect')
    const provider = providerOn(room)
    const signIns = createSignIns(room, () => provider)
    const error: unknown = await call(provider, 'c09-late').catch((thrown: unknown) => thrown)
    if (!(error instanceof ConnectionRequired)) throw error
    const back = await server.browse(await signIns.start(error.pendingId, principal('c09-late'), binding))
    await signIns.finish({ query: back.search.slice(1), credential: 'cred', binding })
    const kept = await call(provider, 'c09-late')
    stopped.child.kill('SIGCONT')
    const woken = await stopped.report
    expect(woken).toEqual({ tokens: [kept], errors: [], refreshes: 0 })
    expect(await call(providerOn(room), 'c09-late')).toBe(kept)
  })

  it('C10: whose answer is lost after the server has rotated it: asked for once more, then the user is asked', async () => {
    await connectExpired('c10')
    server.trouble = ({ workAndBreak }) => workAndBreak()
    const provider = providerOn(room)
    const ends = await Promise.allSettled(Array.from({ length: 50 }, () => call(provider, 'c10')))
    expect(new Set(ends.map((end) => end.status === 'rejected' && end.reason instanceof ConnectionRequired))).toEqual(
      new Set([true]),
    )
    await call(provider, 'c10').catch(() => undefined)
    expect(refreshes()).toBe(2)
    expect(await stateOf('c10')).toBe('reconnect')
  })

  it('C11: that the server takes its time over: a thousand calls wait for one answer', async () => {
    await connectExpired('c11')
    server.trouble = ({ answer }) => void systemClock.after(500, answer)
    const provider = providerOn(room)
    const tokens = await Promise.all(Array.from({ length: 1_000 }, () => call(provider, 'c11')))
    expect(new Set(tokens).size).toBe(1)
    expect(refreshes()).toBe(1)
  })

  it('C11: that the server never answers for: everyone is answered in bounded time, and it is asked twice', async () => {
    await connectExpired('c11-never')
    server.trouble = () => undefined
    const provider = providerOn(room)
    const ends = await Promise.allSettled(Array.from({ length: 1_000 }, () => call(provider, 'c11-never')))
    const codes = ends.map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : 'ok'))
    expect(new Set(codes)).toEqual(new Set(['token_unavailable']))
    await expect.poll(() => stateOf('c11-never')).toBe('reconnect')
    expect(refreshes()).toBe(2)
  })

  it('in a store whose keys are rotated meanwhile is kept all the same', async () => {
    await connectExpired('rotated')
    const provider = providerOn(room)
    server.trouble = ({ answer }) => {
      void (async () => {
        // as `toolgate vault rotate` does: the same record, sealed anew, under a new version
        for (const { key, value, version } of await room.records.list('connection/', { limit: 100 }))
          await room.records.put(key, value, { expect: version })
        answer()
      })()
    }
    expect(await call(provider, 'rotated')).toMatch(/^[0-9a-f]{16}$/)
    expect(await call(providerOn(room), 'rotated')).toBe(await call(provider, 'rotated'))
    expect(refreshes()).toBe(1)
  })

  it('whose user disconnects meanwhile leaves nothing behind, here or there', async () => {
    await connectExpired('gone')
    const provider = providerOn(room)
    server.revocations.length = 0
    server.trouble = ({ answer }) => {
      void createConnections(room, () => provider)
        .disconnect(principal('gone'), 'cred')
        .then(() => answer())
    }
    await expect(call(provider, 'gone')).rejects.toBeInstanceOf(ConnectionRequired)
    expect(await stateOf('gone')).toBeUndefined()
  })
})
