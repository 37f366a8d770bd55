/** What went wrong on the way out, in the words of the error table. Pure; hosts and addresses stay in the cause. */
import { GatewayError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''

/** OpenSSL’s verification results and Node’s TLS errors, in words an operator can act on. */
const certificateFaults: ReadonlyMap<string, string> = new Map([
  ['CERT_HAS_EXPIRED', 'it has expired'],
  ['CERT_NOT_YET_VALID', 'it is not valid yet'],
  ['CERT_REVOKED', 'it was revoked'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'it is self-signed'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its chain ends in a self-signed certificate that is not trusted here'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its issuer is not known here'],
  ['UNABLE_TO_GET_ISSUER_CERT', 'its issuer is not known here'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its issuer is not known here'],
  ['CERT_UNTRUSTED', 'its issuer is not trusted here'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'it carries the wrong name'],
  ['HOSTNAME_MISMATCH', 'it carries the wrong name'],
])

const oldProtocol = /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|WRONG_SSL_VERSION/

const tlsWords = (code: string): string => {
  const fault = certificateFaults.get(code)
  if (fault !== undefined) return `The target’s certificate was refused: ${fault}.`
  if (oldProtocol.test(code)) return 'The target speaks no TLS version from 1.2 on.'
  if (code === 'EPROTO' || code.startsWith('ERR_')) return 'The TLS handshake with the target failed.'
  return 'The target’s certificate was refused.'
}

/** Errors of the operating system are `E` and one word; OpenSSL’s have underscores, and EPROTO is libuv’s word for TLS. */
const isNetwork = (code: string): boolean =>
  (/^E[A-Z0-9]+$/.test(code) && code !== 'EPROTO') || code.startsWith('ERR_SOCKET') || code === ''

/** Why no connection came about: nothing has been sent. */
export const connectFailure = (error: unknown, secure: boolean): GatewayError => {
  const code = codeOf(error)
  return secure && !isNetwork(code)
    ? new GatewayError('target_tls', { words: tlsWords(code), cause: error })
    : new GatewayError('target_unreachable', { cause: error })
}

interface Meaning {
  readonly code: ErrorCode
  readonly words?: string
}

/** undici’s errors that are not plainly a broken connection. */
const meanings: ReadonlyMap<string, Meaning> = new Map([
  [
    'UND_ERR_HEADERS_OVERFLOW',
    { code: 'target_bad_answer', words: 'The target’s header fields are larger than is read here.' },
  ],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', { code: 'target_broke_off' }],
  ['UND_ERR_REQ_CONTENT_LENGTH_MISMATCH', { code: 'request_unbuildable' }],
  ['UND_ERR_INVALID_ARG', { code: 'request_unbuildable' }],
  ['UND_ERR_NOT_SUPPORTED', { code: 'request_unbuildable' }],
  ['UND_ERR_CLOSED', { code: 'draining' }],
  ['UND_ERR_DESTROYED', { code: 'draining' }],
])

/** undici gives these as plain socket errors: a switch of protocols nobody asked for, an answer before the question. */
const isMisbehaviour = (error: unknown): boolean =>
  error instanceof Error && (error.message === 'bad upgrade' || error.message === 'bad response')

/** Whether the connection itself broke, as it does when a kept-alive socket had been closed at the other end. */
export const brokeOff = (error: unknown): boolean => {
  const code = codeOf(error)
  if (code === 'UND_ERR_SOCKET') return !isMisbehaviour(error)
  return /^E[A-Z0-9]+$/.test(code)
}

/** llhttp’s word for bytes that end where the message does not is a parser error like all others. */
const isCutShort = (error: Error): boolean => error.message.includes('Invalid EOF state')

const notHttp = (error: unknown): GatewayError =>
  new GatewayError('target_bad_answer', { words: 'The target’s answer is not proper HTTP.', cause: error })

/** Why an exchange on an open connection failed; `inBody` when the answer’s headers had been read. */
export const exchangeFailure = (error: unknown, inBody: boolean): GatewayError => {
  if (error instanceof GatewayError) return error
  const code = codeOf(error)
  // two lengths in the headers and a body shorter than its one length are the same error to undici
  if (code === 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH' && !inBody) return notHttp(error)
  const meaning = meanings.get(code)
  if (meaning !== undefined) return new GatewayError(meaning.code, { ...meaning, cause: error })
  if (error instanceof Error && error.name === 'HTTPParserError') {
    // undici keeps what it could not read, and so whatever the target gave back of its credential
    Reflect.deleteProperty(error, 'data')
    return isCutShort(error) ? new GatewayError('target_broke_off', { cause: error }) : notHttp(error)
  }
  if (code === 'UND_ERR_SOCKET' && isMisbehaviour(error)) return notHttp(error)
  if (brokeOff(error) || code.startsWith('ERR_SSL')) return new GatewayError('target_broke_off', { cause: error })
  return new GatewayError('internal', { cause: error })
}
