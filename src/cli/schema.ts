/** Prints the JSON Schema of the configuration, from which `toolgate.schema.json` is made. */
import { configJsonSchema } from '../config/schema.ts'

export const schema = (): void => {
  process.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
}
