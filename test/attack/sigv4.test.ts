/** Forged AWS signatures: each begins as a good one and changes one thing. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Inbound } from '../../src/auth/authenticate.ts'
import { authenticateSigV4, signatureOf, signingKey } from '../../src/auth/sigv4.ts'
import { type Claim, stringToSign } from '../../src/auth/sigv4-request.ts'
import { limits } from '../../src/core/limits.ts'
import { Secret } from '../../src/core/secret.ts'
import { handClock, inboundOf } from '../unit/auth/support.ts'

const id = 'TGAKABCDEFGHIJKLMNOP'
const secret = new Secret('s'.repeat(40))
const principal = { tenant: 't', subject: `key|${id}`, client: 'c', scopes: new Set<string>() }
const host = 'tools.example.com'
const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}'

let clock = handClock()
let authenticate = authenticateSigV4({ keys: { accessKey: () => undefined, used: () => undefined }, clock })
let used = 0
beforeEach(() => {
  clock = handClock()
  used = 0
  authenticate = authenticateSigV4({
    keys: { accessKey: (asked) => (asked === id ? { id, principal, secret } : undefined), used: () => void used++ },
    clock,
  })
})

const stamp = (ms = clock.now()): string => new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

interface Parts {
  method?: string
  url?: string
  body?: string
  headers?: [string, string][]
  at?: string
  date?: string
  region?: string
  service?: string
  secret?: Secret
  id?: string
  signedHeaders?: string[]
  /** What the signature is made over, where that is not the body. */
  bodyHash?: string
}

interface Signed {
  method: string
  url: string
  headers: [string, string][]
  body: string
}

/** A claim without its signature, and the request it is about. */
const claimed = (parts: Parts): { claim: Claim; scope: string; names: string; headers: [string, string][] } => {
  const at = parts.at ?? stamp()
  const scope = {
    date: parts.date ?? at.slice(0, 8),
    region: parts.region ?? 'us-east-1',
    service: parts.service ?? 'bedrock-agentcore',
  }
  const signedHeaders = parts.signedHeaders ?? ['host', 'x-amz-date']
  return {
    claim: { accessKeyId: parts.id ?? id, scope, at, signedHeaders, signature: '' },
    scope: `${parts.id ?? id}/${scope.date}/${scope.region}/${scope.service}/aws4_request`,
    names: signedHeaders.join(';'),
    headers: [['Host', host], ['Content-Type', 'application/json'], ...(parts.headers ?? [])],
  }
}

const sign = (parts: Parts = {}): Signed => {
  const { claim, scope, names, headers } = claimed(parts)
  const request: Signed = {
    method: parts.method ?? 'POST',
    url: parts.url ?? '/mcp/view?a=1&b=2',
    headers: [...headers, ['X-Amz-Date', claim.at]],
    body: parts.body ?? body,
  }
  const text = stringToSign(inboundOf(request), claim, parts.bodyHash ?? sha256(request.body))
  const signature = signatureOf(signingKey(parts.secret ?? secret, claim.scope), text)
  request.headers.push([
    'Authorization',
    `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=${names}, Signature=${signature}`,
  ])
  return request
}

const presign = (parts: Parts & { expires?: string; algorithm?: string } = {}): Signed => {
  const { claim, scope, names, headers } = claimed({ signedHeaders: ['host'], ...parts })
  const query = [
    `X-Amz-Algorithm=${parts.algorithm ?? 'AWS4-HMAC-SHA256'}`,
    `X-Amz-Credential=${encodeURIComponent(scope)}`,
    `X-Amz-Date=${claim.at}`,
    `X-Amz-Expires=${parts.expires ?? '60'}`,
    `X-Amz-SignedHeaders=${encodeURIComponent(names)}`,
  ]
  const request = { method: 'POST', url: `/mcp?${query.join('&')}`, headers, body: parts.body ?? body }
  const text = stringToSign(inboundOf(request), claim, parts.bodyHash ?? sha256(request.body))
  const signature = signatureOf(signingKey(parts.secret ?? secret, claim.scope), text)
  return { ...request, url: `${request.url}&X-Amz-Signature=${signature}` }
}

const letIn = (request: Signed | Inbound) =>
  (async () => authenticate('header' in request ? request : inboundOf(request)))()

const refused = async (request: Signed | Inbound): Promise<void> => {
  await expect(letIn(request)).rejects.toMatchObject({
    code: 'unauthenticated',
    http: 401,
    headers: { 'www-authenticate': 'AWS4-HMAC-SHA256' },
  })
  expect(used).toBe(0)
}

const withHeader = (request: Signed, name: string, change: (value: string) => string): Signed => ({
  ...request,
  headers: request.headers.map(([key, value]): [string, string] => [key, key === name ? change(value) : value]),
})
const inAuthorization = (from: string | RegExp, to: string) => (): Signed =>
  withHeader(sign(), 'Authorization', (value) => {
    const changed = value.replace(from, to)
    if (changed === value) throw new Error('nothing was forged')
    return changed
  })
const inUrl =
  (from: string | RegExp, to: string, request = presign) =>
  (): Signed => {
    const good = request()
    const url = good.url.replace(from, to)
    if (url === good.url) throw new Error('nothing was forged')
    return { ...good, url }
  }

describe('a good signature', () => {
  test.each<[string, () => Signed]>([
    ['in the header', () => sign()],
    ['in the URL', () => presign()],
    ['from any region', () => sign({ region: 'mars-north-1' })],
    [
      'with a session token',
      () =>
        sign({
          headers: [['X-Amz-Security-Token', 'x']],
          signedHeaders: ['host', 'x-amz-date', 'x-amz-security-token'],
        }),
    ],
    [
      'with the body’s hash declared',
      () =>
        sign({
          headers: [['X-Amz-Content-Sha256', sha256(body)]],
          signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'],
        }),
    ],
    ['with its query in another order', inUrl('a=1&b=2', 'b=2&a=1', sign)],
    ['with its query written otherwise', inUrl('a=1', '%61=%31', sign)],
    [
      'with unsigned headers besides',
      () => ({ ...sign(), headers: [...sign().headers, ['User-Agent', 'x'], ['X-Amzn-Trace-Id', 'Root=1']] }),
    ],
    ['five minutes old', () => sign({ at: stamp(clock.now() - limits.signatureSkewMs) })],
    ['five minutes ahead', () => sign({ at: stamp(clock.now() + limits.signatureSkewMs) })],
    ['in a URL at its last second', () => presign({ at: stamp(clock.now() - 60_000) })],
  ])('%s is let in', async (_how, make) => {
    expect(await letIn(make())).toBe(principal)
    expect(used).toBe(1)
  })
})

describe('a forged signature', () => {
  test.each<[string, () => Signed]>([
    ['there is none', () => ({ ...sign(), headers: [['Host', host]] })],
    ['another secret', () => sign({ secret: new Secret('x'.repeat(40)) })],
    ['an unknown access key', () => sign({ id: 'TGAKAAAAAAAAAAAAAAAA' })],
    ['another service, signed so', () => sign({ service: 's3' })],
    [
      'another service, changed to ours',
      () =>
        withHeader(sign({ service: 's3' }), 'Authorization', (value) => value.replace('/s3/', '/bedrock-agentcore/')),
    ],
    ['another region than signed', inAuthorization('us-east-1', 'us-west-2')],
    ['another day in the scope than in the time', () => sign({ date: '20000101' })],
    ['another terminator', inAuthorization('aws4_request', 'aws5_request')],
    ['a scope of too many parts', inAuthorization('/aws4_request', '/x/aws4_request')],
    ['the signature of zeros', inAuthorization(/Signature=.*/, `Signature=${'0'.repeat(64)}`)],
    [
      'the signature one digit off',
      () => withHeader(sign(), 'Authorization', (value) => value.replace(/.$/, (last) => (last === '0' ? '1' : '0'))),
    ],
    ['the signature cut', inAuthorization(/.$/, '')],
    ['the signature in capitals', inAuthorization(/Signature=.*/, `Signature=${'A'.repeat(64)}`)],
    ['the signature left out', inAuthorization(/, Signature=.*/, '')],
    ['the signature empty', inAuthorization(/Signature=.*/, 'Signature=')],
    ['two signatures', inAuthorization(/$/, `, Signature=${'0'.repeat(64)}`)],
    [
      'two credentials',
      inAuthorization('Credential=', `Credential=${id}/20260101/us-east-1/bedrock-agentcore/aws4_request, Credential=`),
    ],
    ['another algorithm', inAuthorization('AWS4-HMAC-SHA256', 'AWS4-HMAC-SHA1')],
    ['another algorithm, asymmetric', inAuthorization('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256')],
    ['a bearer token', () => withHeader(sign(), 'Authorization', () => 'Bearer x')],
    ['expired', () => sign({ at: stamp(clock.now() - limits.signatureSkewMs - 1_000) })],
    ['from the future', () => sign({ at: stamp(clock.now() + limits.signatureSkewMs + 1_000) })],
    ['of a time that there is not', () => sign({ at: `${stamp().slice(0, 8)}T256199Z` })],
    ['of a day that there is not', () => sign({ at: '20260231T120000Z' })],
    ['of a time in another form', () => sign({ at: new Date(clock.now()).toISOString() })],
    ['the time changed', () => withHeader(sign(), 'X-Amz-Date', () => stamp(clock.now() + 1_000))],
    ['the time left out', () => ({ ...sign(), headers: sign().headers.filter(([name]) => name !== 'X-Amz-Date') })],
    ['the time twice', () => ({ ...sign(), headers: [...sign().headers, ['x-amz-date', stamp()]] })],
    ['the time not signed', () => sign({ signedHeaders: ['host'] })],
    ['the host not signed', () => sign({ signedHeaders: ['x-amz-date'] })],
    ['the host changed', () => withHeader(sign(), 'Host', () => 'evil.example.com')],
    ['the host twice', () => ({ ...sign(), headers: [...sign().headers, ['host', 'evil.example.com']] })],
    [
      'a signed header that is absent',
      () => withHeader(sign(), 'Authorization', (value) => value.replace('host;', 'accept;host;')),
    ],
    ['an x-amz- header put in', () => ({ ...sign(), headers: [...sign().headers, ['X-Amz-Target', 'evil']] })],
    [
      'a signed header changed',
      () =>
        withHeader(sign({ signedHeaders: ['content-type', 'host', 'x-amz-date'] }), 'Content-Type', () => 'text/plain'),
    ],
    [
      'a signed header twice',
      () => ({
        ...sign({ signedHeaders: ['content-type', 'host', 'x-amz-date'] }),
        headers: [
          ...sign({ signedHeaders: ['content-type', 'host', 'x-amz-date'] }).headers,
          ['content-type', 'application/json'],
        ],
      }),
    ],
    ['signed headers out of order', () => sign({ signedHeaders: ['x-amz-date', 'host'] })],
    ['a signed header named twice', () => sign({ signedHeaders: ['host', 'host', 'x-amz-date'] })],
    ['signed headers in capitals', inAuthorization('SignedHeaders=host', 'SignedHeaders=Host')],
    [
      'too many signed headers',
      () => {
        const names = Array.from({ length: limits.signedHeaders }, (_, index) => `a${String(index).padStart(4, '0')}`)
        return sign({ headers: names.map((name) => [name, 'x']), signedHeaders: [...names, 'host', 'x-amz-date'] })
      },
    ],
    ['two Authorization headers', () => ({ ...sign(), headers: [...sign().headers, ...sign().headers.slice(-1)] })],
    [
      'two Authorization headers, one a token',
      () => ({ ...sign(), headers: [['Authorization', 'Bearer x'], ...sign().headers] }),
    ],
    [
      'header and query at once',
      () => ({ ...presign(), headers: [...presign().headers, ...sign().headers.slice(-2)] }),
    ],
    ['header and the beginning of a query', () => sign({ url: '/mcp?X-Amz-Signature=0' })],
    ['the body changed', () => ({ ...sign(), body: body.replace('list', 'call') })],
    ['the body left out', () => ({ ...sign(), body: '' })],
    [
      'the body unsigned, declared so',
      () =>
        sign({
          bodyHash: 'UNSIGNED-PAYLOAD',
          headers: [['X-Amz-Content-Sha256', 'UNSIGNED-PAYLOAD']],
          signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'],
        }),
    ],
    ['the body unsigned, not declared', () => sign({ bodyHash: 'UNSIGNED-PAYLOAD' })],
    [
      'the body streamed',
      () =>
        sign({
          bodyHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
          headers: [['X-Amz-Content-Sha256', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD']],
          signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'],
        }),
    ],
    [
      'the body’s declared hash another’s',
      () =>
        sign({
          bodyHash: sha256('x'),
          headers: [['X-Amz-Content-Sha256', sha256('x')]],
          signedHeaders: ['host', 'x-amz-content-sha256', 'x-amz-date'],
        }),
    ],
    ['the method changed', () => ({ ...sign(), method: 'DELETE' })],
    ['the path changed', inUrl('/mcp/view', '/mcp/other', sign)],
    ['the path encoded otherwise', inUrl('/mcp/view', '/mcp/%76iew', sign)],
    ['the path with dots to the same place', inUrl('/mcp/view', '/mcp/x/../view', sign)],
    ['the path with a dot', inUrl('/mcp/view', '/mcp/./view', sign)],
    ['the path with an empty segment', inUrl('/mcp/view', '/mcp//view', sign)],
    ['the path with dots at its end', inUrl('/mcp/view', '/mcp/view/x/..', sign)],
    ['the path of another host', inUrl('/mcp/view', 'http://evil.example.com/mcp/view', sign)],
    ['the query changed', inUrl('a=1', 'a=2', sign)],
    ['the query longer', inUrl('b=2', 'b=2&c=3', sign)],
    ['the query shorter', inUrl('&b=2', '', sign)],
    ['a query value twice', inUrl('a=1', 'a=1&a=1', sign)],
    ['the query not decodable', () => sign({ url: '/mcp?a=1' }) && { ...sign(), url: '/mcp/view?a=%ff&b=2' }],
    ['in a URL that is over', () => presign({ at: stamp(clock.now() - 61_000) })],
    ['in a URL from the future', () => presign({ at: stamp(clock.now() + limits.signatureSkewMs + 1_000) })],
    ['in a URL that lasts too long', () => presign({ expires: String(limits.presignedSeconds + 1) })],
    ['in a URL that never lasts', () => presign({ expires: '0' })],
    ['in a URL that lasts a negative time', () => presign({ expires: '-1' })],
    ['in a URL that lasts for words', () => presign({ expires: '1e3' })],
    ['in a URL, its end moved', inUrl('X-Amz-Expires=60', 'X-Amz-Expires=600')],
    ['in a URL, its end left out', inUrl('&X-Amz-Expires=60', '')],
    ['in a URL, its end twice', inUrl('X-Amz-Expires=60', 'X-Amz-Expires=60&X-Amz-Expires=600')],
    ['in a URL, the algorithm another', inUrl('AWS4-HMAC-SHA256', 'none')],
    ['in a URL, another algorithm, signed so', () => presign({ algorithm: 'AWS4-HMAC-SHA1' })],
    [
      'in a URL, a token beside it',
      () => ({ ...presign(), headers: [...presign().headers, ['Authorization', 'Bearer x']] }),
    ],
    ['the path without its beginning', inUrl('/http:/x', 'http:/x', () => sign({ url: '/http:/x' }))],
    ['in a URL, names in lower case', inUrl('X-Amz-Signature', 'x-amz-signature')],
    ['in a URL, the signature twice', inUrl(/$/, `&X-Amz-Signature=${'0'.repeat(64)}`)],
    ['in a URL, the body another', () => ({ ...presign(), body: '{}' })],
    ['in a URL, the body unsigned', () => presign({ bodyHash: 'UNSIGNED-PAYLOAD' })],
    ['in a URL, the host not signed', () => presign({ signedHeaders: ['content-type'] })],
    [
      'in a URL, an x-amz- header put in',
      () => ({ ...presign(), headers: [...presign().headers, ['X-Amz-Target', 'evil']] }),
    ],
  ])('is refused: %s', async (_what, make) => {
    await refused(make())
  })

  test('is refused before the body is read when the claim alone is wrong', async () => {
    for (const make of [
      () => sign({ service: 's3' }),
      () => sign({ id: 'TGAKAAAAAAAAAAAAAAAA' }),
      () => sign({ at: stamp(0) }),
      () => sign({ signedHeaders: ['x-amz-date'] }),
    ]) {
      const inbound: Inbound = { ...inboundOf(make()), body: () => Promise.reject(new Error('the body was read')) }
      await refused(inbound)
    }
  })

  test.each(['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', sha256('x')])(
    'says that the body must be covered when its hash is declared to be %s',
    async (declared) => {
      const headers: [string, string][] = [['X-Amz-Content-Sha256', declared]]
      const signedHeaders = ['host', 'x-amz-content-sha256', 'x-amz-date']
      await expect(letIn(sign({ headers, signedHeaders, bodyHash: declared }))).rejects.toThrow(/must cover the body/)
    },
  )

  test('of the 31st of a short month is not taken for one of the 1st', async () => {
    clock.pass(7 * 24 * 60 * 60_000)
    expect(stamp()).toBe('20261201T120000Z')
    expect(await letIn(sign())).toBe(principal)
    used = 0
    await refused(sign({ at: '20261131T120000Z' }))
  })

  test('tells an unknown access key and a wrong signature by the same words', async () => {
    const words = (request: Signed) => letIn(request).then(String, (error: unknown) => String(error))
    expect(await words(sign({ id: 'TGAKAAAAAAAAAAAAAAAA' }))).toBe(await words(sign({ secret: new Secret('x') })))
  })

  test('repeats nothing of what came', async () => {
    const error: unknown = await letIn(inAuthorization('us-east-1', 'canary-region')()).catch(
      (thrown: unknown) => thrown,
    )
    expect(JSON.stringify([String(error), error])).not.toMatch(/canary|TGAK/)
  })
})

describe('the check', () => {
  test('does not go on where it cannot see which headers came', async () => {
    const whole = inboundOf(sign())
    const blind: Inbound = {
      method: whole.method,
      url: whole.url,
      header: (name) => whole.header(name),
      times: (name) => whole.times(name),
      body: (max) => whole.body(max),
    }
    await expect(letIn(blind)).rejects.toMatchObject({ code: 'internal' })
  })

  test('goes by the secret of now, not by that of the last time', async () => {
    let now = secret
    const check = authenticateSigV4({
      keys: { accessKey: () => ({ id, principal, secret: now }), used: () => undefined },
      clock,
    })
    expect(await check(inboundOf(sign()))).toBe(principal)
    now = new Secret('another')
    await expect(check(inboundOf(sign()))).rejects.toMatchObject({ code: 'unauthenticated' })
    expect(await check(inboundOf(sign({ secret: now })))).toBe(principal)
  })

  test('remembers the keys of few who were right, and of none who were wrong', async () => {
    const regions = Array.from({ length: limits.signingKeysRemembered + 10 }, (_, index) => `region-${index}`)
    for (const region of regions) expect(await letIn(sign({ region }))).toBe(principal)
    for (const region of regions.slice(0, 20)) {
      await expect(letIn(sign({ region, secret: new Secret('x') }))).rejects.toMatchObject({ code: 'unauthenticated' })
      expect(await letIn(sign({ region }))).toBe(principal)
    }
  })
})
