/** Bodies held to their bounds while they are read. */
import { type ErrorCode, GatewayError, toGatewayError } from '../../core/errors.ts'
import { limits } from '../../core/limits.ts'

type Body = ReadableStream<Uint8Array>
/** Called once the body has come to its end; `fault` is why it broke off. */
type Ended = (fault?: GatewayError) => void

const tooLong = (words: string): GatewayError => new GatewayError('target_bad_answer' satisfies ErrorCode, { words })

/** At most `limits.responseBodyBytes`. */
export function boundedJson(body: Body, ended: Ended): Body {
  let bytes = 0
  return checked(body, ended, (piece) => {
    bytes += piece.byteLength
    if (bytes > limits.responseBodyBytes) throw tooLong('The target’s answer is longer than is read here.')
  })
}

/** Server-sent events of at most `limits.responseBodyBytes` each: one that never ends would be kept without end. */
export function boundedEvents(body: Body, ended: Ended): Body {
  let bytes = 0
  let tail = ''
  return checked(body, ended, (piece) => {
    const text = tail + Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString('latin1')
    const end = Math.max(text.lastIndexOf('\n\n'), text.lastIndexOf('\r\n\r\n'), text.lastIndexOf('\r\r'))
    bytes = end < 0 ? bytes + piece.byteLength : text.length - end
    tail = text.slice(-3)
    if (bytes > limits.responseBodyBytes) throw tooLong('An event of the target is longer than is read here.')
  })
}

/** The same bytes, looked at as they pass; whatever ends them early is an error of the table. */
function checked(body: Body, ended: Ended, look: (piece: Uint8Array) => void): Body {
  const reader = body.getReader()
  return new ReadableStream<Uint8Array>({
    async pull(sink) {
      try {
        const { done, value } = await reader.read()
        if (done) {
          ended()
          return sink.close()
        }
        look(value)
        sink.enqueue(value)
      } catch (thrown) {
        const fault = toGatewayError(thrown)
        ended(fault)
        void reader.cancel().catch(() => undefined)
        sink.error(fault)
      }
    },
    cancel: (reason) => {
      ended()
      return reader.cancel(reason)
    },
  })
}

/** The first bytes of a body, and whether there were more. */
export async function gather(body: Body, limit: number): Promise<{ readonly bytes: Buffer; readonly cut: boolean }> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of body) {
    pieces.push(piece)
    length += piece.byteLength
    if (length > limit) break
  }
  return { bytes: Buffer.concat(pieces).subarray(0, limit), cut: length > limit }
}

/** Whether a value nests deeper than `limits.answerDepth`; whatever walks one that does may find no end. */
export function isDeep(value: unknown, left: number = limits.answerDepth): boolean {
  if (typeof value !== 'object' || value === null) return false
  return left === 0 || Object.values(value).some((part) => isDeep(part, left - 1))
}
