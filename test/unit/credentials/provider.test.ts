/** How requests are signed, and what never comes back. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import type { OutboundRequest, Principal, Target } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { apiKey } from '../../../src/credentials/api-key.ts'
import { basic } from '../../../src/credentials/basic.ts'
import { type CredentialProvider, sign } from '../../../src/credentials/provider.ts'
import { scrubBytes, scrubOutcome } from '../../../src/credentials/scrub.ts'

const target: Target = {
  name: 't',
  kind: 'openapi',
  origin: 'https://api.example.com',
  basePath: '',
  timeoutMs: 1_000,
  headers: { set: new Map(), forwardRequest: [], forwardResponse: [] },
}
const who: Principal = { tenant: 'default', subject: 's', client: '', scopes: new Set() }
const value = 'k+/=1 ä'
const request = (url = 'https://api.example.com/x?a=1', headers = new Map<string, string>()): OutboundRequest => ({
  method: 'GET',
  url,
  headers,
})
const key = (place: 'header' | 'query' | 'cookie', name: string, prefix?: string): CredentialProvider =>
  apiKey({ in: place, name, value: new Secret(value), ...(prefix === undefined ? {} : { prefix }) })

/** What a request is signed with, of a kind that signs at once. */
function secretsOf(provider: CredentialProvider): readonly Secret[] {
  const signed = sign(request(), provider, who, target)
  if (signed instanceof Promise) throw new TypeError('this kind makes its caller wait')
  return signed.secrets
}

describe('a credential', () => {
  it.each([
    ['in a header', key('header', 'X-Key'), { headers: [['x-key', value]] }],
    [
      'in a header with a prefix',
      key('header', 'Authorization', 'Bearer'),
      { headers: [['authorization', `Bearer ${value}`]] },
    ],
    ['in the query', key('query', 'api key'), { url: 'https://api.example.com/x?a=1&api%20key=k%2B%2F%3D1%20%C3%A4' }],
    ['in a cookie', key('cookie', 'sid'), { headers: [['cookie', 'sid=k+/=1%20%C3%A4']] }],
    [
      'of user and password',
      basic({ username: new Secret('Aladdin'), password: new Secret('open sesame') }),
      { headers: [['authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==']] },
    ],
  ])('%s is put there', async (_, provider, expected) => {
    const { request: signed } = await sign(request(), provider, who, target)
    if ('url' in expected) expect(signed.url).toBe(expected.url)
    if ('headers' in expected) expect([...signed.headers]).toEqual(expected.headers)
  })

  it('joins the cookies that are there', async () => {
    const { request: signed } = await sign(
      request(undefined, new Map([['cookie', 'a=1']])),
      key('cookie', 'sid'),
      who,
      target,
    )
    expect(signed.headers.get('cookie')).toBe('a=1; sid=k+/=1%20%C3%A4')
  })

  it.each([
    ['query', 'https://api.example.com/x?api_key=mine'],
    ['query', 'https://api.example.com/x?a=1&api%5Fkey=mine'],
  ] as const)('refuses a request whose %s has its name already', (place, url) => {
    expect(() => sign(request(url), key(place, 'api_key'), who, target)).toThrow(
      expect.objectContaining({ code: 'request_unbuildable' }),
    )
  })

  it('refuses a request whose cookies have its name already', () => {
    const taken = request(undefined, new Map([['cookie', 'a=1; sid=mine']]))
    expect(() => sign(taken, key('cookie', 'sid'), who, target)).toThrow(
      expect.objectContaining({ code: 'request_unbuildable' }),
    )
  })

  it.each([
    'https://evil.example/x',
    'https://api.example.com.evil.example/',
    'https://api.example.com@evil.example/',
    'http://api.example.com/',
  ])('stays here when the request goes to %s', async (url) => {
    const { request: signed, secrets } = await sign(request(url), key('header', 'X-Key'), who, target)
    expect(signed.headers.has('x-key')).toBe(false)
    expect(signed.url).toBe(url)
    expect(secrets).toEqual([])
  })

  it.each([
    ['text', value],
    ['JSON', JSON.stringify(value)],
    ['JSON in JSON', JSON.stringify(JSON.stringify(value))],
    ['a URL', encodeURIComponent(value)],
    ['a URL in small letters', encodeURIComponent(value).toLowerCase()],
    ['a form', new URLSearchParams({ value }).toString()],
    ['ASCII', 'k\\u002b\\u002F\\u003d1\\u0020\\u00E4'],
  ])('is taken out of an answer that echoes it as %s', (_, text) => {
    const outcome = {
      isError: false,
      content: [{ type: 'text' as const, text: `<${text}>` }],
      structured: `[${text}]`,
      meta: { text },
    }
    const clean = JSON.stringify(scrubOutcome(outcome, secretsOf(key('header', 'k'))))
    expect(clean.match(/\[secret\]/g)).toHaveLength(3)
  })

  it('is taken out of bytes', () => {
    const response = { status: 200, headers: new Map<string, string>(), body: Buffer.from(`\0${value}\0`), cut: false }
    expect(scrubBytes(response, secretsOf(key('header', 'k'))).body.toString()).toBe('\0[secret]\0')
  })
})

describe('HTTP Basic', () => {
  const account = basic({ username: new Secret('sk_live_1'), password: new Secret('open sesame') })

  it.each([
    ['user name', 'sk_live_1'],
    ['password', 'open sesame'],
    ['pair', Buffer.from('sk_live_1:open sesame').toString('base64')],
  ])('masks its %s', (_, text) => {
    const outcome = { isError: false, content: [{ type: 'text' as const, text: `<${text}>` }] }
    expect(scrubOutcome(outcome, secretsOf(account)).content).toEqual([{ type: 'text', text: '<[secret]>' }])
  })

  it('has no password to look for when that is empty', () => {
    const outcome = { isError: false, content: [{ type: 'text' as const, text: 'a b' }] }
    const secrets = secretsOf(basic({ username: new Secret('sk_live_1'), password: new Secret('') }))
    expect(scrubOutcome(outcome, secrets).content).toEqual(outcome.content)
    const response = { status: 200, headers: new Map<string, string>(), body: Buffer.from('a b'), cut: false }
    expect(scrubBytes(response, secrets).body.toString()).toBe('a b')
  })
})

describe('a secret of less than four characters', () => {
  it.each([
    ['alone', 'me', '[secret]'],
    ['in quotes', '"me"', '"[secret]"'],
    ['between signs', 'a-me.b', 'a-[secret].b'],
    ['inside a word', 'name, meter, home', 'name, meter, home'],
    ['beside a digit or an accent', 'me2 méme', 'me2 méme'],
  ])('is masked only where it stands alone: %s', (_, text, expected) => {
    const secrets = [new Secret('me')]
    const outcome = { isError: false, content: [{ type: 'text' as const, text }] }
    expect(scrubOutcome(outcome, secrets).content).toEqual([{ type: 'text', text: expected }])
  })

  it('is treated so in bytes, too', () => {
    const body = Buffer.from('name \0me\0')
    const response = { status: 200, headers: new Map<string, string>(), body, cut: false }
    expect(scrubBytes(response, [new Secret('me')]).body.toString()).toBe('name \0[secret]\0')
  })
})

describe('a secret', () => {
  it.each([
    ['a template', (secret: Secret) => `key ${String(secret)}`],
    ['JSON', (secret: Secret) => JSON.stringify({ secret })],
    ['inspection', (secret: Secret) => inspect({ secret }, { depth: 5, showHidden: true })],
    ['an error', (secret: Secret) => String(new Error(`failed with ${String(secret)}`))],
    ['concatenation', (secret: Secret) => `a ${secret as unknown as string}`],
  ])('does not show in %s', (_, show) => {
    const text = show(new Secret('hunter2'))
    expect(text).toContain('[secret]')
    expect(text).not.toContain('hunter2')
  })

  it('compares without telling how much was right', () => {
    expect(new Secret('a').equals('a')).toBe(true)
    expect(new Secret('a').equals('ab')).toBe(false)
    expect(new Secret('a').equals('')).toBe(false)
  })
})
