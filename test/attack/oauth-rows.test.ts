/**
 * Rows O17, V01, V06 to V09 and V13 of the threat model where they meet: stored grants whose key is gone or that were put
 * back, keys and databases that a gateway process does not start with, a rotation that is really killed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { Secret } from '../../src/core/secret.ts'
import { createConnections } from '../../src/credentials/oauth/connections.ts'
import { createSignIns } from '../../src/credentials/oauth/flow.ts'
import { type OAuthProvider, oauth2 } from '../../src/credentials/oauth2.ts'
import { ConnectionRequired, sign } from '../../src/credentials/provider.ts'
import { openRecords } from '../../src/store/sqlite-records.ts'
import { folderKeyring } from '../../src/vault/keyring.ts'
import { createSecrets } from '../../src/vault/secrets.ts'
import { createVault } from '../../src/vault/vault.ts'
import { type GatewayProcess, startGatewayProcess, until, writeIn } from '../support/gateway.ts'
import { callModern } from '../support/mcp.ts'
import { createRoom, optionsFor, outbound, principal, target, type TestRoom } from '../support/oauth-room.ts'
import { oneTool } from '../support/petstore.ts'
import { json, type Recorder, startRecorder } from '../support/recorder.ts'

const main = join(import.meta.dirname, '../../src/main.ts')
const canary = 'canary-of-rows-2f8c'
const binding = 'the-browser-of-alice-and-nobody-else'
const alice = principal('alice')

/** An authorization server that says yes to everything, with tokens that can be counted. */
let server: Recorder
let target2: Recorder
let issued = 0
let tokens: object = {}
const rooms: TestRoom[] = []

beforeAll(async () => {
  server = await startRecorder()
  target2 = await startRecorder()
})
afterAll(async () => {
  await server.close()
  await target2.close()
})
beforeEach(() => {
  issued = 0
  tokens = { expires_in: 3_600, refresh_token: `${canary}-refresh` }
  server.answer = (request, response, incoming) => {
    const metadata = {
      issuer: server.origin,
      authorization_endpoint: `${server.origin}/authorize`,
      token_endpoint: `${server.origin}/token`,
      code_challenge_methods_supported: ['S256'],
    }
    if (request.url !== '/token') return json(metadata)(request, response, incoming)
    issued += 1
    return json({ token_type: 'Bearer', ...tokens, access_token: `${canary}-${issued}` })(request, response, incoming)
  }
})
afterEach(async () => {
  for (const room of rooms.splice(0)) await room.close()
})

const newRoom = (beside?: Pick<TestRoom, 'file' | 'vaultKey'>): TestRoom => {
  const room = createRoom({ allow: [server.address], ...(beside === undefined ? {} : { beside }) })
  // the one that made the folder is closed last
  rooms.unshift(room)
  return room
}

const providerOn = (room: TestRoom): OAuthProvider =>
  oauth2(
    optionsFor({
      grant: 'authorizationCode',
      discoveryUrl: `${server.origin}/.well-known/openid-configuration`,
      clientSecret: new Secret(`${canary}-client`),
      scopes: ['read'],
    }),
    room,
  )

const call = async (provider: OAuthProvider): Promise<string> =>
  (await sign(outbound(), provider, alice, target)).request.headers.get('authorization') ?? ''

const caught = async (work: Promise<unknown>): Promise<unknown> => work.then(() => undefined).catch((error) => error)

async function connect(room: TestRoom): Promise<OAuthProvider> {
  const provider = providerOn(room)
  const signIns = createSignIns(room, () => provider)
  const error = await caught(call(provider))
  if (!(error instanceof ConnectionRequired)) throw error
  const { searchParams } = new URL(await signIns.start(error.pendingId, alice, binding))
  const query = new URLSearchParams({ code: 'x', state: searchParams.get('state') ?? '' })
  await signIns.finish({ query: query.toString(), credential: 'cred', binding })
  return provider
}

const connectionKey = async (room: TestRoom): Promise<string> =>
  (await room.records.list('connection/', { limit: 1 }))[0]?.key ?? ''

describe('a grant', () => {
  it('O17: whose token response says nothing of a lifetime is used until the target refuses it', async () => {
    tokens = { refresh_token: `${canary}-refresh` }
    const room = newRoom()
    await connect(room)
    const [connection] = await createConnections(room, () => undefined).listOf(alice)
    expect(connection).toMatchObject({ state: 'active', expiresAt: undefined })
    room.ahead.wall += 365 * 24 * 3_600_000
    expect(await call(providerOn(room))).toBe(`Bearer ${canary}-1`)
  })

  it('V01, V07: whose key is gone is an error that says so, not a missing grant: nobody is sent to sign in', async () => {
    const room = newRoom()
    await connect(room)
    const key = await connectionKey(room)
    const before = await room.records.get(key)
    const other = newRoom({ file: room.file, vaultKey: Buffer.alloc(32, 7).toString('base64') })
    const error = await caught(call(providerOn(other)))
    expect(error).toMatchObject({ code: 'vault_unreadable' })
    expect(error).not.toBeInstanceOf(ConnectionRequired)
    expect(inspect([error, other.events], { depth: 10, showHidden: true })).not.toContain(canary)
    // nothing is overwritten: with the key back, it goes on
    expect(await room.records.get(key)).toEqual(before)
    expect(await call(providerOn(newRoom(room)))).toBe(`Bearer ${canary}-1`)
  })

  it('V06: into which its own older seal was put back is an error, and the older token is not used', async () => {
    const room = newRoom()
    await connect(room)
    const key = await connectionKey(room)
    const older = JSON.parse((await room.records.get(key))?.value ?? '{}') as { sealed: string }
    room.ahead.wall += 3_600_000
    expect(await call(providerOn(room))).toBe(`Bearer ${canary}-2`)
    const newer = await room.records.get(key)
    const mixed = { ...(JSON.parse(newer?.value ?? '{}') as object), sealed: older.sealed }
    await room.records.put(key, JSON.stringify(mixed), { expect: newer?.version ?? 0 })
    expect(await caught(call(providerOn(room)))).toMatchObject({ code: 'vault_unreadable' })
  })
})

const children: ChildProcess[] = []

/** The command to its end, or to its death. */
function run(dir: string, words: readonly string[], env: { [name: string]: string } = {}) {
  const child = spawn(process.execPath, [main, ...words], {
    cwd: dir,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  return { child, ended: once(child, 'close').then(() => ({ status: child.exitCode, said })) }
}

describe('a gateway process', () => {
  const env = { CLIENT_SECRET: `${canary}-client` }
  let gateway: GatewayProcess
  beforeAll(async () => {
    gateway = await startGatewayProcess({
      config: {
        admin: { port: 0, tools: false },
        egress: { allow: [target2.address, server.address] },
        credentials: {
          own: {
            type: 'oauth2',
            grant: 'clientCredentials',
            discoveryUrl: `${server.origin}/.well-known/openid-configuration`,
            clientId: 'gateway',
            clientSecret: { env: 'CLIENT_SECRET' },
          },
        },
        targets: { t: { credential: 'own' } },
      },
      env,
      files: { 'specs/t.json': oneTool(target2.origin, 'one') },
    })
  })
  afterAll(async () => {
    // one that should have ended, and did not
    for (const child of children) child.kill('SIGKILL')
    await gateway.remove()
  })
  const dataDir = (): string => join(gateway.dir, '.toolgate')

  it('V13: whose records are locked tells the caller so in bounded time, stays alive, and goes on afterwards', async () => {
    const locker = new DatabaseSync(join(dataDir(), 'records.db'))
    locker.exec('BEGIN IMMEDIATE')
    try {
      const { status, json: answer } = await callModern(gateway.url, 't___one')
      expect([status, answer.result ?? answer.error]).toMatchObject([expect.any(Number), expect.any(Object)])
      expect(answer.result?.isError ?? answer.error !== undefined).toBe(true)
      expect(JSON.stringify(answer)).not.toMatch(/sqlite|records\.db|canary/i)
      expect(target2.requests).toEqual([])
      expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200)
    } finally {
      locker.exec('ROLLBACK')
      locker.close()
    }
    await until(
      'the call succeeds',
      async () => (await callModern(gateway.url, 't___one')).json.result?.isError === undefined,
    )
    expect(target2.requests.at(-1)?.headers['authorization']).toBe(`Bearer ${canary}-1`)
  })

  it('V08: `vault rotate` killed at any moment leaves all readable, and run again ends with one key', async () => {
    await gateway.stop()
    const names = Array.from({ length: 100 }, (_, number) => `n${number}`)
    const file = join(dataDir(), 'records.db')
    const records = openRecords(file, systemClock)
    const secrets = createSecrets(records, createVault(folderKeyring(dataDir())), systemClock)
    for (const name of names) await secrets.set(name, new Secret(`${canary} ${name}`))
    const readAll = () => {
      const vault = createVault(folderKeyring(dataDir()))
      return Promise.all(
        names.map(async (name) => (await createSecrets(records, vault, systemClock).get(name))?.reveal()),
      )
    }
    const resealed = async (): Promise<number> => {
      const vault = createVault(folderKeyring(dataDir()))
      const rows = await records.list('secret/', { limit: 200 })
      return rows.filter(({ value }) => value.includes(sealedUnder(vault.currentKey()))).length
    }
    const keys = (): string[] => readdirSync(dataDir()).filter((name) => name.startsWith('vault-key'))
    const before = await records.changes()
    const dying = run(gateway.dir, ['vault', 'rotate'], env)
    // as soon as it has written something
    while (dying.child.exitCode === null && (await records.changes()) === before)
      await new Promise((resolve) => setImmediate(resolve))
    dying.child.kill('SIGKILL')
    await dying.ended
    const done = await resealed()
    const all = names.map((name) => `${canary} ${name}`)
    expect([done > 0, done < names.length, await readAll()]).toEqual([true, true, all])
    expect(keys()).toHaveLength(2)
    const { status, said } = await run(gateway.dir, ['vault', 'rotate'], env).ended
    expect([status, said.includes(canary)]).toEqual([0, false])
    expect(keys()).toHaveLength(1)
    expect(await readAll()).toEqual(all)
    await records.close()
  })

  it('V09: is not started with a vault key that is none, which it does not show', async () => {
    const key = Buffer.alloc(32, 0xa5)
    const texts = [key.subarray(1).toString('base64'), key.toString('hex'), `${key.toString('base64').slice(0, 8)} x`]
    const config = { listen: { port: 0 }, admin: { port: 0 }, vault: { key: { env: 'VAULT_KEY' } } }
    const ends = texts.map(async (text, place) => {
      writeIn(gateway.dir, `${place}/gateway.config.json`, config)
      const { status, said } = await run(join(gateway.dir, String(place)), ['serve'], { VAULT_KEY: text }).ended
      return [status, said.includes('32 bytes in base64'), said.includes(text)]
    })
    expect(await Promise.all(ends)).toEqual(texts.map(() => [1, true, false]))
  })

  it('V13: is not started on a damaged database, and says so', async () => {
    for (const name of ['records.db-wal', 'records.db-shm']) rmSync(join(dataDir(), name), { force: true })
    const file = join(dataDir(), 'records.db')
    writeFileSync(file, readFileSync(file).fill(0x5a, 100))
    const { status, said } = await run(gateway.dir, ['serve'], env).ended
    expect(status).toBe(1)
    expect(said).toMatch(/damaged/)
    expect(said).not.toContain(canary)
  })
})

/** How the text of a seal under this key begins, after its version. */
const sealedUnder = (keyId: string): string => {
  const head = Buffer.concat([Buffer.of(keyId.length), Buffer.from(keyId, 'latin1')])
  // whole groups of three bytes, which the bytes behind do not change
  return `tgv1.${head.subarray(0, head.length - (head.length % 3)).toString('base64url')}`
}
