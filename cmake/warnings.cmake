# dpgen_warnings(target): the warnings that the project keeps clean, and the sanitizers where they are asked for.
function(dpgen_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra)
  if(DPGEN_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-omit-frame-pointer -g)
    target_link_options(${target} PRIVATE -fsanitize=address,undefined)
  endif()
endfunction()
