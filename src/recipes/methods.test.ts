import { expect, it } from 'vitest'
import * as library from '../index.ts'
import { loadRecipe } from './load.ts'
import { methodKeys, methods } from './methods.ts'

it.each(methodKeys)('%s is trained by the recipe of the same name, with the same settings', async (key) => {
  const recipe = await loadRecipe(key)
  expect(recipe.name).toBe(methods[key].name)
  expect(recipe.schema).toBe(await methods[key].schema())
})

it('every method is a function of the library', () => {
  expect(Object.keys(library)).toEqual(expect.arrayContaining(methodKeys))
})
