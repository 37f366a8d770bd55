/** Targets that send our credential back, in every way that one could (D21 of the threat model): nobody ever sees it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { answer } from '../unit/egress/support.ts'
import { type Behaviour, type Calls, jsonAnswer, startCalls } from './calls.ts'

/** Each has `zq7x` or 7300194257 in it, and the characters that encoders treat in their own ways. */
const secrets = {
  plain: 'canary-zq7x-plain',
  header: 'canary/zq7x+header"\\=&',
  query: 'canary/zq7x+query==',
  cookie: 'canary zq7x;cookie"é',
  basic: 'canary:zq7x"pässword+',
  slash: '/zq7x-begins-with-a-sign',
  quote: '"zq7x',
  digits: '7300194257',
} as const

type Kind = keyof typeof secrets

const kinds = Object.keys(secrets) as Kind[]
const username = 'api-user'
const pair = Buffer.from(`${username}:${secrets.basic}`).toString('base64')

let calls: Calls

beforeAll(async () => {
  const credentials = {
    plain: { type: 'apiKey', in: 'header', name: 'X-Key', prefix: 'Token', value: { env: 'CANARY_plain' } },
    header: { type: 'apiKey', in: 'header', name: 'X-Key', value: { env: 'CANARY_header' } },
    query: { type: 'apiKey', in: 'query', name: 'api_key', value: { env: 'CANARY_query' } },
    cookie: { type: 'apiKey', in: 'cookie', name: 'session', value: { env: 'CANARY_cookie' } },
    ...Object.fromEntries(
      ['slash', 'quote', 'digits'].map((kind) => [
        kind,
        { type: 'apiKey', in: 'header', name: 'X-Key', value: { env: `CANARY_${kind}` } },
      ]),
    ),
    basic: { type: 'basic', username: { env: 'CANARY_user' }, password: { env: 'CANARY_basic' } },
  }
  calls = await startCalls((origin) => ({
    config: {
      credentials,
      targets: Object.fromEntries(
        kinds.map((kind) => [
          kind,
          {
            openapi: 'target.json',
            server: `${origin}/${kind}`,
            credential: kind,
            headers: { forwardResponse: ['x-echo', 'location', 'content-type'] },
          },
        ]),
      ),
    },
    env: {
      CANARY_user: username,
      ...Object.fromEntries(kinds.map((kind) => [`CANARY_${kind}`, secrets[kind]])),
    },
  }))
})

afterEach(async () => {
  expect(calls.gateway.child.exitCode).toBeNull()
  const { made, metered } = await calls.counted()
  expect(metered).toBe(made)
})

afterAll(() => calls.close())

/** The text without its escapes, as whoever reads JSON, URLs or base64 would find it. */
const unescaped = (text: string): string =>
  text
    .replaceAll(/\\+u([0-9a-f]{4})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll(/%([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .replaceAll(/"blob":"([^"]*)"/g, (_all, blob: string) => Buffer.from(blob, 'base64').toString('latin1'))

const tells = (text: string): boolean => /zq7x|7300194257/i.test(unescaped(text)) || text.includes(pair)

const inHeader = (request: string): string | undefined => /^x-key: (.*)\r$/im.exec(request)?.[1]

const sentIn: Record<Kind, (request: string) => string | undefined> = {
  plain: (request) => /^x-key: Token (.*)\r$/im.exec(request)?.[1],
  header: inHeader,
  slash: inHeader,
  quote: inHeader,
  digits: inHeader,
  query: (request) => decodeURIComponent(/api_key=(\S+) /.exec(request)?.[1] ?? ''),
  cookie: (request) => decodeURIComponent(/^cookie: session=(.*)\r$/im.exec(request)?.[1] ?? ''),
  basic: (request) =>
    Buffer.from(/^authorization: Basic (.*)\r$/im.exec(request)?.[1] ?? '', 'base64')
      .toString()
      .slice(username.length + 1),
}

/** Every letter but digits and letters as JSON may write it. */
const asUnicode = (text: string): string =>
  text.replaceAll(/[^a-z0-9]/gi, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`)

const percent = (text: string): string => encodeURIComponent(text)

const echoes: readonly (readonly [string, (secret: string) => Buffer])[] = [
  ['text', (secret) => answer(`Your key is ${secret}.`, ['content-type: text/plain; charset=utf-8'])],
  ['a refusal', (secret) => answer(`No such key: ${secret}`, ['content-type: text/plain'], '401 Unauthorized')],
  ['gzip', (secret) => answer(gzipSync(secret), ['content-type: text/plain', 'content-encoding: gzip'])],
  ['bytes', (secret) => answer(Buffer.from(`\0${secret}`), ['content-type: application/octet-stream'])],
  ['UTF-16', (secret) => answer(Buffer.from(secret, 'utf16le'), ['content-type: text/plain; charset=utf-16le'])],
  ['Latin-1', (secret) => answer(Buffer.from(secret, 'latin1'), ['content-type: text/plain; charset=iso-8859-1'])],
  ['JSON', (secret) => jsonAnswer(JSON.stringify({ name: secret }))],
  ['the name of a member', (secret) => jsonAnswer(JSON.stringify({ [secret]: 1 }))],
  ['JSON with escaped slashes', (secret) => jsonAnswer(JSON.stringify({ name: secret }).replaceAll('/', '\\/'))],
  ['JSON in nothing but ASCII', (secret) => jsonAnswer(`{"name":"${asUnicode(secret)}"}`)],
  ['JSON in JSON', (secret) => jsonAnswer(JSON.stringify({ name: JSON.stringify({ secret }) }))],
  ['a URL', (secret) => jsonAnswer(JSON.stringify({ name: `https://x.test/?k=${percent(secret)}` }))],
  [
    'a URL in small letters',
    (secret) => jsonAnswer(JSON.stringify({ name: percent(secret).replaceAll(/%../g, (hex) => hex.toLowerCase()) })),
  ],
  [
    'a form',
    (secret) => answer(new URLSearchParams({ secret }).toString(), ['content-type: application/x-www-form-urlencoded']),
  ],
]

it.each(kinds)('the credential %s is sent as it is', async (kind) => {
  const { requests } = await calls.call(`${kind}___get`, answer('ok'))
  expect(sentIn[kind](requests[0] ?? '')).toBe(secrets[kind])
})

it.each(echoes)('a target that sends it back as %s is not passed on', async (_how, echo) => {
  const told: string[] = []
  for (const kind of kinds)
    for (const tool of ['get', 'typed', 'post']) {
      const { raw } = await calls.call(`${kind}___${tool}`, echo(secrets[kind]))
      if (tells(raw)) told.push(`${kind} ${tool}`)
    }
  expect(told).toEqual([])
})

const inHeaders: readonly (readonly [string, (secret: string) => Buffer])[] = [
  ['a header that is forwarded', (secret) => answer('ok', [`x-echo: ${secret}`])],
  ['a header that is forwarded, among others', (secret) => answer('ok', ['x-echo: a', `x-echo: ${secret}; b`])],
  ['a redirect', (secret) => answer('', [`location: https://x.test/?key=${percent(secret)}`], '302 Found')],
  ['Retry-After', (secret) => answer('busy', [`retry-after: ${secret}`], '429 Too Many Requests')],
  ['a media type', (secret) => answer('x', [`content-type: application/${secret}`])],
  ['a parameter of a media type', (secret) => answer('x', [`content-type: image/png; name="${secret}"`])],
  ['the words beside the status', (secret) => answer('no', [], `400 ${secret}`)],
]

it.each(inHeaders)('nor is one that sends it back in %s', async (_where, echo) => {
  const told: string[] = []
  for (const [kind, secret] of [
    ['plain', secrets.plain],
    ['header', secrets.header],
    ['query', secrets.query],
    ['basic', pair],
  ] as const)
    for (const tool of ['get', 'typed']) {
      const { raw } = await calls.call(`${kind}___${tool}`, echo(secret))
      if (tells(raw)) told.push(`${kind} ${tool}`)
    }
  expect(told).toEqual([])
})

it('nor is one that sends the whole request back, nor anything that says what was called', async () => {
  const back: Behaviour = (socket, request) => void socket.write(answer(request, ['content-type: message/http']))
  for (const kind of kinds) {
    for (const type of ['message/http', 'text/plain', 'application/json'])
      expect(
        tells(
          (
            await calls.call(
              `${kind}___get`,
              (socket, request) => void socket.write(answer(request, [`content-type: ${type}`])),
            )
          ).raw,
        ),
      ).toBe(false)
    const streamed = await calls.call(`${kind}___get`, back, {
      _meta: { progressToken: 1, 'io.modelcontextprotocol/logLevel': 'debug' },
    })
    expect(tells(streamed.raw)).toBe(false)
  }
})

it.each([
  ['digits', '{"id":17300194257,"name":"7300194257"}'],
  ['digits', '{"id":1,"free":{"7300194257":7300194257.5}}'],
  ['quote', '{"id":1,"zq7x":2,"name":"\\\\"}'],
  ['quote', '{"name":"\\\\","free":["zq7x","\\"zq7x"]}'],
] as const)(
  'an answer with the secret (%s) across its structure, %s, is still JSON to the client',
  async (kind, text) => {
    const { json, raw } = await calls.call(`${kind}___typed`, jsonAnswer(text))
    expect(json).toHaveProperty('result.structuredContent')
    if (kind === 'digits') expect(tells(raw)).toBe(false)
  },
)

it.each<[string, Behaviour | string]>([
  ['breaks off', (socket) => socket.resetAndDestroy()],
  ['does not speak HTTP', 'nonsense\r\n\r\n'],
  ['sends broken gzip', answer('x', ['content-encoding: gzip']).toString('latin1')],
])('a target that %s learns nothing to tell us either', async (_how, then) => {
  for (const kind of kinds) expect(tells((await calls.call(`${kind}___post`, then)).raw)).toBe(false)
})

it.each(kinds)(
  'looking for the secret (%s) costs no more than the answer is long',
  { timeout: 5_000 },
  async (kind) => {
    const letters = secrets[kind].replaceAll(/[^a-z0-9]+/gi, ' ')
    for (const piece of ['\\', '\\u002f\\', '%2f%22', secrets[kind].slice(0, 1)])
      expect(
        (await calls.call(`${kind}___get`, answer(letters + piece.repeat(200_000)))).result.isError,
      ).toBeUndefined()
  },
)

it('after all of it no credential stands in the log, in the ledger, in a file, or in what the operator sees', async () => {
  const { adminUrl, adminToken, dir } = calls.gateway
  for (const path of ['/api/targets', '/api/tools', '/api/usage?by=target,tool,principal,day', '/metrics'])
    expect(
      tells(await (await fetch(adminUrl + path, { headers: { authorization: `Bearer ${adminToken}` } })).text()),
    ).toBe(false)
  expect(calls.gateway.log().split('\n').filter(tells)).toEqual([])
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const telling = files.filter((entry) => tells(readFileSync(join(entry.parentPath, entry.name), 'latin1')))
  expect(files.map(({ name }) => name)).toContain('toolgate.db')
  expect(telling.map(({ name }) => name)).toEqual([])
})
