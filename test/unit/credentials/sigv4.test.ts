/** Requests that are signed for AWS: as published, as other signers sign them, and as they are checked on arrival. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { SignatureV4 } from '@smithy/signature-v4'
import { AwsV4Signer } from 'aws4fetch'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { authenticateSigV4 } from '../../../src/auth/sigv4.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { toGatewayError } from '../../../src/core/errors.ts'
import type { InboundResponse, OutboundRequest, Target } from '../../../src/core/model.ts'
import { Secret } from '../../../src/core/secret.ts'
import { refusalOf } from '../../../src/credentials/aws/refusal.ts'
import { toSignable } from '../../../src/credentials/aws/signable.ts'
import { type SigV4Options, sigv4 } from '../../../src/credentials/sigv4.ts'
import { createEgress, type Egress } from '../../../src/egress/fetch.ts'
import { principal, target } from '../../support/oauth-room.ts'
import { accessKeyId, host, scope, secret, vectors } from '../../support/sigv4-vectors.ts'
import { inboundOf, Sha256 } from '../auth/support.ts'

const who = principal('alice')
const signingDate = new Date(Date.UTC(2015, 7, 30, 12, 36))
const at = (now: number): Clock => ({ ...systemClock, now: () => now })
const noEgress: Egress = {
  check: (url) => new URL(url),
  channel: () => {
    throw new Error('nothing is looked up')
  },
  close: async () => undefined,
}
const key = { accessKeyId: new Secret(accessKeyId), secretAccessKey: secret }

const provider = (options: Partial<SigV4Options> = {}, clock: Clock = systemClock, egress = noEgress) =>
  sigv4(
    { service: 'execute-api', region: 'eu-west-1', ...key, ...options },
    { egress, clock, log: { warn: () => undefined } },
  )

const request = (parts: Partial<OutboundRequest> = {}): OutboundRequest => ({
  method: 'GET',
  url: 'https://api.example.com/x',
  headers: new Map(),
  ...parts,
})

describe.each(vectors)('$name of AWS’s test suite', ({ method = 'GET', url, headers = {}, body, signature }) => {
  it('has the published signature when it is sent', async () => {
    const signable = toSignable(
      request({
        method,
        url: `https://${host}${url}`,
        headers: new Map(Object.entries(headers)),
        ...(body === undefined ? {} : { body }),
      }),
      scope.service,
    )
    const signer = new SignatureV4({
      ...scope,
      credentials: { accessKeyId, secretAccessKey: secret.reveal() },
      sha256: Sha256,
      applyChecksum: false,
    })
    // the suite is from before the field that tells the body’s hash; the session’s token is the signer’s to add
    const { 'x-amz-content-sha256': _, ...fields } = signable.headers
    const token = headers['X-Amz-Security-Token']
    const given = { ...fields, ...(token === undefined ? {} : { 'x-amz-security-token': token }) }
    const signed = await signer.sign({ ...signable, headers: given, body: body ?? '' }, { signingDate })
    expect(signed.headers['authorization']).toMatch(new RegExp(`Signature=${signature}$`))
  })
})

const requests: readonly [string, Partial<OutboundRequest>][] = [
  ['without anything', {}],
  ['with a body', { method: 'POST', headers: new Map([['content-type', 'application/json']]), body: '{"a":"ü"}' }],
  ['with a body of bytes', { method: 'PUT', headers: new Map([['Content-Type', 'a/b']]), body: Buffer.from([0, 255]) }],
  ['with an empty body', { method: 'POST', body: '' }],
  ['with an encoded path', { url: 'https://api.example.com/a%20b%2Fc/%C3%BC/' }],
  ['with signs in the path', { url: "https://api.example.com/v1:0/(a)'b'!*$&+,;=@~" }],
  ['with a query', { url: 'https://api.example.com/x?b=2&a=1&a=0&c&d=&e%20f=g%2Fh%3D&A-=~' }],
  ['with signs in the query', { url: "https://api.example.com/x?q=!'()*:@/?$;,&__proto=1&a=b=c" }],
  ['with nothing but a query', { url: 'https://api.example.com/?' }],
  ['with spaces in fields', { headers: new Map([['x-note', ' a   b ']]) }],
  ['with x-amz- fields', { headers: new Map([['X-Amz-Target', 'A.B']]) }],
]

describe.each(requests)('a request %s', (_, parts) => {
  it.each(['execute-api', 's3'])('is signed as aws4fetch signs it for %s', async (service) => {
    const { request: sent } = await provider({ service, sessionToken: new Secret('to/ken==') }, at(+signingDate)).apply(
      request(parts),
      who,
      target,
    )
    const { authorization, ...headers } = Object.fromEntries(sent.headers)
    const signer = new AwsV4Signer({
      method: sent.method,
      url: sent.url,
      headers,
      ...(sent.body === undefined ? {} : { body: sent.body as string }),
      accessKeyId,
      secretAccessKey: secret.reveal(),
      sessionToken: 'to/ken==',
      service,
      region: 'eu-west-1',
      datetime: '20150830T123600Z',
      allHeaders: true,
    })
    expect(authorization).toBe((await signer.sign()).headers.get('authorization'))
  })
})

describe('over HTTP', () => {
  let server: Server
  let egress: Egress
  let there: Target

  beforeAll(async () => {
    const authenticate = authenticateSigV4({
      keys: {
        accessKey: (id) => (id === accessKeyId ? { id, principal: who, secret } : undefined),
        used: () => undefined,
      },
      clock: systemClock,
      service: 'execute-api',
    })
    const check = async (incoming: IncomingMessage): Promise<string> => {
      const { rawHeaders, method = '', url = '' } = incoming
      const headers = rawHeaders.flatMap((name, index) =>
        index % 2 === 0 ? [[name, rawHeaders[index + 1] ?? ''] as const] : [],
      )
      const body = Buffer.concat(await incoming.toArray())
      return (await authenticate(inboundOf({ method, url, headers, body }))).subject
    }
    server = createServer((incoming, response) => {
      check(incoming).then(
        (subject) => response.end(subject),
        (error: unknown) => response.writeHead(toGatewayError(error).http).end(toGatewayError(error).message),
      )
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const address = `127.0.0.1:${(server.address() as AddressInfo).port}`
    egress = createEgress({ allow: [address], clock: systemClock })
    there = { ...target, origin: `http://${address}` }
  })
  afterAll(async () => {
    await egress.close()
    server.close()
  })

  const send = async (parts: Partial<OutboundRequest>, change?: (sent: OutboundRequest) => OutboundRequest) => {
    const url = (parts.url ?? request().url).replace(target.origin, there.origin)
    const { request: signed } = await provider({}).apply(request({ ...parts, url }), who, there)
    const sent = change?.(signed) ?? signed
    const options = { timeoutMs: 5_000, bodyBytes: 1_000, repeatable: false }
    return (await egress.channel(there.origin).send(sent, options)).body.toString()
  }

  it.each(requests)('a request %s is let in by the check of what comes in', async (_, parts) => {
    expect(await send(parts)).toBe('alice')
  })

  it.each<[string, (sent: OutboundRequest) => OutboundRequest]>([
    ['body', (sent) => ({ ...sent, body: '{"a":2}' })],
    ['path', (sent) => ({ ...sent, url: sent.url.replace('/x', '/y') })],
    ['query', (sent) => ({ ...sent, url: `${sent.url}?a=1` })],
    ['method', (sent) => ({ ...sent, method: 'PUT' })],
    ['type', (sent) => ({ ...sent, headers: new Map(sent.headers).set('content-type', 'text/plain') })],
  ])('a request whose %s was changed on the way is not', async (_, change) => {
    const parts = { method: 'POST', headers: new Map([['content-type', 'application/json']]), body: '{"a":1}' }
    expect(await send(parts)).toBe('alice')
    expect(await send(parts, change)).toMatch(/signature/i)
  })
})

describe('a signature', () => {
  it('covers host, type, the body’s hash and every x-amz- field', async () => {
    const headers = new Map([
      ['content-type', 'a/b'],
      ['x-amz-target', 'A'],
      ['user-agent', 'x'],
    ])
    const { request: sent } = await provider({ sessionToken: new Secret('t') }).apply(request({ headers }), who, target)
    expect(sent.headers.get('authorization')).toContain(
      'SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-target, ',
    )
    expect([...sent.headers.keys()].toSorted()).toEqual([
      'authorization',
      'content-type',
      'user-agent',
      'x-amz-content-sha256',
      'x-amz-date',
      'x-amz-security-token',
      'x-amz-target',
    ])
  })

  it('lets no argument take its place', async () => {
    const headers = new Map([
      ['Authorization', 'mine'],
      ['X-Amz-Content-Sha256', 'UNSIGNED-PAYLOAD'],
      ['X-Amz-Security-Token', 'mine'],
      ['x-amz-date', 'mine'],
    ])
    const given = request({ headers, method: 'POST', body: 'x' })
    const { request: sent } = await provider().apply(given, who, target)
    expect([...sent.headers.values()].join(' ')).not.toMatch(/mine|UNSIGNED/)
    expect(sent.headers.has('x-amz-security-token')).toBe(false)
    expect(headers.get('Authorization')).toBe('mine')
  })

  it.each([
    ['a signature in the query', 'https://api.example.com/x?x-amz-signature=0'],
    ['a percent sign that encodes nothing', 'https://api.example.com/x?a=%zz'],
    ['more members than are signed', `https://api.example.com/?${Array.from({ length: 300 }, (_, n) => n).join('&')}`],
  ])('is not made of a request with %s', async (_, url) => {
    await expect(provider().apply(request({ url }), who, target)).rejects.toMatchObject({ code: 'request_unbuildable' })
  })

  it('is kept from callers with the key and the session’s token', async () => {
    const signed = await provider({ sessionToken: new Secret('the-token') }).apply(request(), who, target)
    const signature = signed.request.headers.get('authorization')?.split('Signature=')[1]
    expect(signed.secrets.map((one) => one.reveal())).toEqual([secret.reveal(), 'the-token', signature])
    expect(signed.fingerprint).toBe(accessKeyId)
  })

  it.each<[string, Partial<SigV4Options>]>([
    ['half a key', { secretAccessKey: undefined } as unknown as Partial<SigV4Options>],
    ['a token alone', { ...({ accessKeyId: undefined, secretAccessKey: undefined } as object), sessionToken: secret }],
  ])('cannot be made with %s', (_, options) => {
    expect(() => provider(options)).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })

  it('cannot be made without a key where AWS’s default chain is switched off', () => {
    const room = { egress: noEgress, clock: systemClock, log: { warn: () => undefined }, chain: false }
    expect(() => sigv4({ service: 's', region: 'r' }, room)).toThrow(expect.objectContaining({ code: 'bad_config' }))
  })
})

const answer = (status: number, body: string, headers: Record<string, string> = {}): InboundResponse => ({
  status,
  headers: new Map(Object.entries(headers)),
  body: Buffer.from(body),
  cut: false,
})

describe('an answer', () => {
  it.each<[string, InboundResponse, string | undefined]>([
    ['JSON 1.1', answer(400, '{"__type":"com.amazon.coral.service#ExpiredTokenException"}'), 'identity'],
    ['REST JSON', answer(403, '{}', { 'x-amzn-errortype': 'ExpiredTokenException:http://x/' }), 'identity'],
    ['REST JSON in its body', answer(403, '{"message":"x", "code" : "UnrecognizedClientException"}'), 'identity'],
    ['S3', answer(400, '<?xml version="1.0"?><Error><Code>ExpiredToken</Code></Error>'), 'identity'],
    ['the query protocol', answer(403, '<Error><Type>Sender</Type><Code>InvalidClientTokenId</Code>'), 'identity'],
    ['anyone who says 401', answer(401, ''), 'identity'],
    ['S3 of time', answer(403, '<Code>RequestTimeTooSkewed</Code>'), 'time'],
    [
      'API Gateway of time',
      answer(403, '{"message":"Signature expired: 1 is now earlier than 2"}', {
        'x-amzn-errortype': 'InvalidSignatureException',
      }),
      'time',
    ],
    ['a wrong signature', answer(403, '{"__type":"InvalidSignatureException","message":"no match"}'), undefined],
    ['no permission', answer(403, '{"__type":"AccessDeniedException"}'), undefined],
    ['a fault of validation that quotes the word', answer(400, '{"message":"ExpiredToken is no name"}'), undefined],
    ['a server in trouble', answer(500, '{"__type":"ExpiredTokenException"}'), undefined],
  ])('of %s is understood', (_, response, expected) => {
    expect(refusalOf(response)).toBe(expected)
  })

  const now = Date.UTC(2026, 0, 1)
  const skewed = (date: number) =>
    answer(403, '<Code>RequestTimeTooSkewed</Code>', { date: new Date(date).toUTCString() })

  it('that blames the clock makes the next signature carry the target’s time, for that target only', async () => {
    const signer = provider({}, at(now))
    const dateFor = async (whom: Target) => (await signer.apply(request(), who, whom)).request.headers.get('x-amz-date')
    const response = skewed(now + 3_600_000)
    expect(signer.isRejection(response)).toBe(true)
    expect(await signer.renew(who, target, accessKeyId, response)).toBe(true)
    expect(await dateFor(target)).toBe('20260101T010000Z')
    expect(await dateFor({ ...target, name: 'other' })).toBe('20260101T000000Z')
    // a second time there is nothing to learn
    expect(await signer.renew(who, target, accessKeyId, response)).toBe(false)
  })

  it.each([
    ['no date', answer(403, '<Code>RequestTimeTooSkewed</Code>')],
    ['our own date', skewed(now)],
    ['a date years away', skewed(now + 400 * 86_400_000)],
  ])('that blames the clock and has %s changes nothing', async (_, response) => {
    expect(await provider({}, at(now)).renew(who, target, accessKeyId, response)).toBe(false)
  })

  it('that refuses a fixed key finds no other', async () => {
    expect(await provider().renew(who, target, accessKeyId, answer(401, ''))).toBe(false)
    expect(await provider().renew(who, target, accessKeyId)).toBe(false)
  })
})
