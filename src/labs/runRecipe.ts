/** Runs a recipe with given settings until it has a model. */
import type { z } from 'zod'
import type { Recipe, TrainEvent } from '../recipes/trainer/recipe.ts'

/** @returns the folder of the model. Throws the signal's reason when the run was interrupted. */
export async function* runRecipe<S extends z.ZodObject>(
  recipe: Recipe<S>,
  settings: Record<string, unknown>,
  { signal, command }: { signal: AbortSignal; command: readonly string[] },
): AsyncGenerator<TrainEvent, string> {
  let output = ''
  for await (const event of recipe.run(recipe.schema.parse(settings), { signal, command })) {
    yield event
    if (event.event === 'end') output = event.output
  }
  signal.throwIfAborted()
  return output
}
