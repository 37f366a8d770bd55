/**
 * AWS's published Signature Version 4 test suite, as far as HTTP/1.1 allows its requests: an official signer finds the
 * published signatures, and so does the check.
 */
import { createHash } from 'node:crypto'
import { SignatureV4 } from '@smithy/signature-v4'
import { describe, expect, test } from 'vitest'
import { authenticateSigV4, signatureOf, signingKey } from '../../../src/auth/sigv4.ts'
import { readClaim, type Signed, stringToSign } from '../../../src/auth/sigv4-request.ts'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { accessKeyId, at, host, scope, secret, type Vector, vectors } from '../../support/sigv4-vectors.ts'
import { inboundOf, Sha256 } from './support.ts'

const signedWith = ({ headers = {}, signature }: Vector): [string, string][] => {
  const names = ['host', 'x-amz-date', ...Object.keys(headers).map((name) => name.toLowerCase())].toSorted()
  return [
    ...Object.entries(headers),
    ['Host', host],
    ['X-Amz-Date', at],
    [
      'Authorization',
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/20150830/us-east-1/service/aws4_request, SignedHeaders=${names.join(';')}, Signature=${signature}`,
    ],
  ]
}

describe.each(vectors)('$name', (vector) => {
  const { method = 'GET', url, query = {}, headers = {}, body = '', signature } = vector

  test('is signed as published by the official signer', async () => {
    const signer = new SignatureV4({
      credentials: { accessKeyId, secretAccessKey: secret.reveal() },
      region: scope.region,
      service: scope.service,
      sha256: Sha256,
      applyChecksum: false,
    })
    const signed = await signer.sign(
      {
        method,
        protocol: 'https:',
        hostname: host,
        path: url.split('?', 1)[0] ?? '',
        query,
        headers: { ...headers, host },
        body,
      },
      { signingDate: new Date(Date.UTC(2015, 7, 30, 12, 36)) },
    )
    expect(signed.headers['authorization']).toMatch(new RegExp(`Signature=${signature}$`))
  })

  test('has the published signature for the check', () => {
    const request: Signed = inboundOf({ method, url, headers: signedWith(vector) })
    const claim = readClaim(request)
    const bodyHash = createHash('sha256').update(body).digest('hex')
    expect(signatureOf(signingKey(secret, claim.scope), stringToSign(request, claim, bodyHash))).toBe(signature)
  })

  test('is let in, if its path is plain', async () => {
    const clock: Clock = { ...systemClock, now: () => Date.UTC(2015, 7, 30, 12, 36) }
    const principal = { tenant: 't', subject: 'key|1', client: 'c', scopes: new Set<string>() }
    const check = authenticateSigV4({
      keys: { accessKey: (id) => (id === accessKeyId ? { id, principal, secret } : undefined), used: () => undefined },
      clock,
      service: 'service',
    })
    const answer = check(inboundOf({ method, url, headers: signedWith(vector), body }))
    if (/\/[./]|\.\.$/.test(url.split('?', 1)[0] ?? ''))
      await expect(answer).rejects.toMatchObject({ code: 'unauthenticated' })
    else expect(await answer).toBe(principal)
  })
})
