/** The fields of a form or a query, as sent. */
import { GatewayError } from '../../core/errors.ts'

/** Throws `invalid_params` for a field that is there twice: no two programs read it alike. */
export function fieldsOf(text: string): URLSearchParams {
  const fields = new URLSearchParams(text)
  for (const name of fields.keys())
    if (fields.getAll(name).length > 1) throw new GatewayError('invalid_params', { words: 'A field came twice.' })
  return fields
}
