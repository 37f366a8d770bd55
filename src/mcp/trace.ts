/** The caller's trace, as it says in `_meta` or in the header (W3C Trace Context). */
import { objectParam, type Params } from './message.ts'

/** The trace id of a `traceparent` (§3.2.2.3): 32 hexadecimal digits; nothing where there is none, or none that is one. */
export function traceOf(params: Params, header: string | undefined): string | undefined {
  const inMeta = objectParam(params, '_meta')?.['traceparent']
  const value = typeof inMeta === 'string' ? inMeta : header
  return value === undefined
    ? undefined
    : /^[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/.exec(value)?.[1]
}
