/** What leaves is exactly one request to its own origin, or nothing. */
import { describe, expect, it } from 'vitest'
import { limits } from '../../../src/core/limits.ts'
import type { OutboundRequest } from '../../../src/core/model.ts'
import { buildCall } from '../../../src/egress/request.ts'

const origin = 'https://api.test:8443'

const request = (changes: Partial<OutboundRequest>): OutboundRequest => ({
  method: 'GET',
  url: `${origin}/`,
  headers: new Map(),
  ...changes,
})

const header = (name: string, value: string): OutboundRequest => request({ headers: new Map([[name, value]]) })

describe('buildCall', () => {
  it.each([
    [origin, '/'],
    [`${origin}/`, '/'],
    [`${origin}/v1/pets?limit=1&q=%2e%2e#part`, '/v1/pets?limit=1&q=%2e%2e'],
    [`${origin}/v1//pets/../x`, '/v1//pets/../x'],
    [`${origin}/http://evil.test/`, '/http://evil.test/'],
    [`${origin}//evil.test/x`, '//evil.test/x'],
  ])('sends the path of %s as it is written', (url, path) => {
    expect(buildCall(origin, request({ url })).path).toBe(path)
  })

  it.each([
    'https://other.test/',
    'http://api.test:8443/',
    'https://api.test/',
    'https://api.test:84430/',
    'https://api.test:8443.evil.test/',
    'https://api.test:8443@evil.test/',
    'https://api.test:8443?x=1',
    'HTTPS://api.test:8443/',
    '/v1',
    '',
    'http://evil/',
  ])('takes %j for a fault of the gateway, since it is not of the channel’s origin', (url) => {
    expect(() => buildCall(origin, request({ url }))).toThrow(expect.objectContaining({ code: 'internal' }))
  })

  const unbuildable: readonly (readonly [string, OutboundRequest])[] = [
    ['a space in the path', request({ url: `${origin}/a b` })],
    ['a line break in the path', request({ url: `${origin}/a\r\nX-Admin: 1` })],
    ['a NUL in the path', request({ url: `${origin}/a\0` })],
    ['a letter beyond ASCII in the path', request({ url: `${origin}/é` })],
    ['a lone surrogate in the path', request({ url: `${origin}/\ud800` })],
    ['a URL past its bound', request({ url: `${origin}/${'a'.repeat(limits.urlBytes)}` })],
    ['a line break in a header value', header('x-a', '1\r\nX-Admin: 1')],
    ['a bare CR in a header value', header('x-a', '1\rX')],
    ['a bare LF in a header value', header('x-a', '1\nX')],
    ['a NUL in a header value', header('x-a', '1\0')],
    ['a DEL in a header value', header('x-a', '1\x7f')],
    ['é in a header value', header('x-a', 'é')],
    ['中 in a header value', header('x-a', '中')],
    ['an empty header name', header('', '1')],
    ['a space in a header name', header('x a', '1')],
    ['a colon in a header name', header('x:a', '1')],
    ['a line break in a header name', header('x-a\r\nb', '1')],
    ['a letter beyond ASCII in a header name', header('x-ſ', '1')],
    ['Transfer-Encoding', header('Transfer-Encoding', 'chunked')],
    ['Connection', header('connection', 'close')],
    ['Upgrade', header('Upgrade', 'websocket')],
    ['Keep-Alive', header('keep-alive', 'timeout=5')],
    ['TE', header('te', 'trailers')],
    ['Expect', header('expect', '100-continue')],
    ['another Host', header('Host', 'evil.test')],
    ['CONNECT', request({ method: 'CONNECT' })],
    ['a method with a space', request({ method: 'GET /x' })],
    ['an empty method', request({ method: '' })],
    ['a body past its bound', request({ method: 'POST', body: new Uint8Array(limits.outboundBodyBytes + 1) })],
  ]

  it.each(unbuildable)('refuses %s', (_what, wrong) => {
    expect(() => buildCall(origin, wrong)).toThrow(expect.objectContaining({ code: 'request_unbuildable' }))
  })

  it('asks for gzip and brotli unless the request says otherwise', () => {
    expect(buildCall(origin, request({})).headers).toEqual(['accept-encoding', 'gzip, br'])
    expect(buildCall(origin, header('Accept-Encoding', 'identity')).headers).toEqual(['Accept-Encoding', 'identity'])
  })

  it('drops a Host that is the target’s own, which signers like to list', () => {
    expect(buildCall(origin, header('Host', 'API.test:8443')).headers).toEqual(['accept-encoding', 'gzip, br'])
  })

  it('sends text as UTF-8 and bytes as they are', () => {
    expect(buildCall(origin, request({ method: 'POST', body: 'é' })).body).toEqual(Buffer.from([0xc3, 0xa9]))
    const bytes = new Uint8Array([1, 2, 3])
    expect(buildCall(origin, request({ method: 'POST', body: bytes })).body).toBe(bytes)
    expect(buildCall(origin, request({})).body).toBe(null)
  })
})
