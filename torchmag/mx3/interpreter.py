"""The tree of a script to Python closures, which run it.

No text of a script is ever given to Python: names are looked up in a table, methods among those that a class marks.
"""

import math
import time
from collections.abc import Callable, Mapping

from torchmag.mx3.kinds import Setting, Variable, convert, is_live, kind_of, to_bool, to_float
from torchmag.mx3.operations import OPERATORS
from torchmag.mx3.script_error import Exit, ScriptError, TimeLimit
from torchmag.mx3.syntax import Assign, Binary, Block, Call, Literal, Member, Name
from torchmag.mx3.values import Function, Scriptable, Slice, Thunk, Vector


class Interpreter:
    """Runs a tree in a world of names.

    Args:
        names: lower-case name -> Function, Setting, or a value.
        limit: seconds, after which loops end with a TimeLimit; None: no limit.
        suggest: a name that is unknown -> what to say about it.
    """

    def __init__(self, names: Mapping[str, object], limit: float | None = None, suggest: Callable[[str], str] = lambda name: ""):
        self.names, self.suggest, self.limit = names, suggest, limit
        self.end = math.inf if limit is None else time.monotonic() + limit
        self.scopes: list[dict[str, Variable]] = [{}]

    def compile(self, tree: Block) -> list[tuple[tuple[int, int], Callable]]:
        """(position, closure) of each statement; names and numbers of arguments are checked here."""
        return [(statement.position, self._statement(statement)) for statement in tree.body]

    def check_time(self, position=None) -> None:
        """Raise a TimeLimit once the time is over."""
        if time.monotonic() > self.end:
            raise TimeLimit(f"not finished after {self.limit:g} s; raise the limit", position)

    def _statement(self, node):
        return getattr(self, f"_run_{type(node).__name__.lower()}")(node)

    def _run_expression(self, node):
        return self._value(node.value)

    def _run_block(self, node):
        self.scopes.append({})
        body = [self._statement(statement) for statement in node.body]
        self.scopes.pop()

        def run():
            for statement in body:
                statement()

        return run

    def _run_if(self, node):
        self.scopes.append({})
        start = self._statement(node.start) if node.start else None
        condition, then = self._condition(node.condition), self._statement(node.then)
        otherwise = self._statement(node.otherwise) if node.otherwise else None
        self.scopes.pop()

        def run():
            if start is not None:
                start()
            if condition():
                then()
            elif otherwise is not None:
                otherwise()

        return run

    def _run_for(self, node):
        self.scopes.append({})
        nothing = lambda: None
        start = self._statement(node.start) if node.start else nothing
        condition = self._condition(node.condition) if node.condition else lambda: True
        after = self._statement(node.after) if node.after else nothing
        body, position = self._statement(node.body), node.position
        self.scopes.pop()

        def run():
            start()
            while condition():
                body()
                after()
                if time.monotonic() > self.end:
                    self.check_time(position)

        return run

    def _condition(self, node):
        value, position = self._value(node), node.position

        def condition():
            return self._guarded(position, "condition", to_bool, value())

        return condition

    def _run_assign(self, node):
        name, position = node.target.name, node.target.position
        if node.operator == ":=":
            value = self._value(node.value)
            if name in self.scopes[-1] or (len(self.scopes) == 1 and name in self.names):
                raise ScriptError(f"{node.target.text} is declared already; use = to set it", position)
            variable = self.scopes[-1][name] = Variable(node.target.text)

            def declare():
                found = value()
                if found is None:
                    raise ScriptError("the right-hand side has no value", node.value.position)
                variable.declare(found)

            return declare
        if node.operator != "=":
            node = Assign(node.position, "=", node.target, Binary(node.position, node.operator[0], node.target, node.value))
        return self._assignment(node)

    def _assignment(self, node):
        variable, position = self._variable(node.target.name), node.target.position
        thunk = self._thunk(node.value)
        if variable is not None:
            return lambda: self._guarded(position, variable.name, variable.assign, thunk().evaluate())
        target = self._known(node.target)
        if not isinstance(target, Setting) or target.assign is None:
            raise ScriptError(f"{node.target.text} cannot be assigned to", position, node.target.text)
        return lambda: self._guarded(position, node.target.text, target.assign, thunk())

    def _run_step(self, node):
        one = Binary(node.position, node.operator[0], node.target, Literal(node.position, 1))
        return self._assignment(Assign(node.position, "=", node.target, one))

    def _thunk(self, node, frozen=True):
        """What makes the `Thunk` of an expression."""
        value, used = self._value(node), []
        live = self._collect(node, used)
        position = node.position
        return lambda: Thunk(value, used, live, position, frozen, node)

    def _collect(self, node, used):
        """Gather the script's variables in an expression; whether it names something that changes by itself."""
        if isinstance(node, Name):
            variable = self._variable(node.name)
            if variable is not None:
                used.append(variable)
                return False
            return is_live(self.names.get(node.name))
        parts = [part for part in vars(node).values() if hasattr(part, "position")]
        parts += node.arguments if isinstance(node, Call) else ()
        found = [self._collect(part, used) for part in parts]
        return any(found)

    def _variable(self, name):
        return next((scope[name] for scope in reversed(self.scopes) if name in scope), None)

    def _known(self, node):
        if node.name not in self.names:
            raise ScriptError(f"{node.text} is not defined{self.suggest(node.name)}", node.position, node.text)
        return self.names[node.name]

    def _value(self, node) -> Callable:
        return getattr(self, f"_of_{type(node).__name__.lower()}")(node)

    def _of_literal(self, node):
        value = node.value
        return lambda: value

    def _of_name(self, node):
        variable = self._variable(node.name)
        if variable is not None:
            return lambda: variable.value
        found = self._known(node)
        return found.get if isinstance(found, Setting) else lambda: found

    def _of_unary(self, node):
        operand, position = self._value(node.operand), node.position
        if node.operator == "!":
            return lambda: not self._guarded(position, "!", to_bool, operand())

        def negated():
            value = operand()
            value = value if type(value) in (int, float) else self._guarded(position, node.operator, to_float, value)
            return -value if node.operator == "-" else value

        return negated

    def _of_binary(self, node):
        left, right, position, operator = self._value(node.left), self._value(node.right), node.position, node.operator
        guarded = self._guarded
        if operator in ("&&", "||"):
            wanted = operator == "||"

            def logical():
                first = guarded(position, operator, to_bool, left())
                return first if first == wanted else guarded(position, operator, to_bool, right())

            return logical
        apply = OPERATORS[operator]

        def computed():
            a, b = left(), right()
            if type(a) not in (int, float) or type(b) not in (int, float):
                if operator in ("==", "!=") and type(a) is type(b) and isinstance(a, str | bool):
                    return (a == b) == (operator == "==")
                a, b = guarded(position, operator, to_float, a), guarded(position, operator, to_float, b)
            try:
                return apply(a, b)
            except (OverflowError, ZeroDivisionError) as error:
                raise ScriptError(str(error), position) from None

        return computed

    def _of_call(self, node):
        if isinstance(node.function, Member):
            return self._method(node)
        values = [(self._value(argument), self._thunk(argument, frozen=False), argument.position) for argument in node.arguments]
        if not isinstance(node.function, Name):
            raise ScriptError("this cannot be called", node.position)
        variable, name, position = self._variable(node.function.name), node.function.text, node.function.position
        if variable is not None:
            if len(values) != 1:
                raise ScriptError(f"{name} takes 1 argument, got {len(values)}", position)
            argument = values[0][0]

            def evaluate():
                if not callable(variable.value):
                    raise ScriptError(f"{name} is a {variable.kind} and cannot be called", position)
                return variable.value(self._guarded(position, name, to_float, argument()))

            return evaluate
        function = self._known(node.function)
        if not isinstance(function, Function):
            raise ScriptError(f"{name} is no function and cannot be called", position, name)
        given, apply = self._arguments(values, self._kinds(function.parameters, len(values), name, position), name), function.call

        def call():
            arguments = given()
            try:
                return apply(*arguments)
            except Exception as error:
                raise self._of_script(error, position, name) from _cause(error)

        return call

    def _method(self, node):
        member, position = node.function, node.function.position
        owner = self._value(member.owner)
        values = [(self._value(argument), self._thunk(argument), argument.position) for argument in node.arguments]
        count, text = len(values), member.text

        known = {}

        def call():
            value = owner()
            found = known.get(type(value))
            if found is None:
                function, parameters = self._find(value, member)
                found = function, self._arguments(values, self._kinds(parameters, count, text, position), text)
                known[type(value)] = found
            function, given = found
            arguments = given()
            try:
                return function(value, *arguments)
            except Exception as error:
                raise self._of_script(error, position, text) from _cause(error)

        return call

    def _find(self, value, member):
        found = value.methods.get(member.name) if isinstance(value, Scriptable) else None
        if found is None:
            raise ScriptError(f"a {kind_of(value)} has no method {member.text}", member.position, member.text)
        return found

    def _of_member(self, node):
        raise ScriptError(f"{node.text} is a method; call it: {node.text}()", node.position, node.text)

    def _of_index(self, node):
        owner, index, position = self._value(node.owner), self._value(node.index), node.position

        def indexed():
            value, i = owner(), self._guarded(position, "index", convert, index(), "int")
            if not isinstance(value, Vector):
                raise ScriptError(f"a {kind_of(value)} has no components [i]", position)
            if not 0 <= i < 3:
                raise ScriptError(f"index {i} of a vector, expected 0, 1 or 2", position)
            return value[i]

        return indexed

    def _kinds(self, parameters, count, name, position):
        many = bool(parameters) and parameters[-1].endswith("...")
        least = len(parameters) - many
        if count < least or (count > least and not many):
            plural = "argument" if least == 1 else "arguments"
            raise ScriptError(f"{name} takes {'at least ' if many else ''}{least} {plural}, got {count}", position, name)
        return [*parameters[:least], *[parameters[-1][:-3]] * (count - least)] if many else parameters

    def _arguments(self, values, kinds, name):
        """What evaluates the arguments, each as one of its kind."""
        steps = [
            (thunk if kind == "thunk" else value, EXACT.get(kind), kind, position)
            for (value, thunk, position), kind in zip(values, kinds)
        ]

        def evaluate():
            found = []
            for value, exact, kind, position in steps:
                given = value()
                if kind != "thunk" and type(given) is not exact:
                    given = self._guarded(position, name, convert, given, kind)
                found.append(given)
            return found

        return evaluate

    def _guarded(self, position, name, function, *arguments):
        """Call; any error becomes that of the script, at this place."""
        try:
            return function(*arguments)
        except Exception as error:
            raise self._of_script(error, position, name) from _cause(error)

    def _of_script(self, error, position, name):
        """An error as that of the script."""
        if isinstance(error, ScriptError):
            if error.position is None:
                error.position, error.name = position, error.name or name
            return error
        if isinstance(error, Exit):
            return error
        if isinstance(error, RecursionError):
            return ScriptError(f"{name}: nested too deeply", position, name)
        return ScriptError(f"{name}: {error or type(error).__name__}", position, name)


def _cause(error):
    """What an error of the script came from."""
    return error.__cause__ if isinstance(error, ScriptError) else error


# Kinds whose values need no conversion if they are of exactly this type.
EXACT = {"float": float, "int": int, "string": str, "bool": bool, "vector": Vector, "slice": Slice}
